package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"github.com/systole-run/systole/executor"
)

// maxHosts bounds what is remembered of hosts; beyond it, any of them is forgotten.
const maxHosts = 1000

// hosts keep one host's trouble from becoming everybody's: each has a rate of its own, and a circuit breaker that lets no
// request through while the host only fails. They are the worker's own; other workers have theirs.
type hosts struct {
	cfg Config

	mu     sync.Mutex
	byName map[string]*host
}

// host is one host and port.
type host struct {
	cfg     Config
	name    string
	limiter *rate.Limiter
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
}

func newHosts(cfg Config) *hosts { return &hosts{cfg: cfg, byName: make(map[string]*host)} }

func (h *hosts) of(name string) *host {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok := h.byName[name]
	if ok {
		return known
	}
	if len(h.byName) >= maxHosts {
		for forgotten := range h.byName {
			delete(h.byName, forgotten)
			break
		}
	}
	made := newHost(h.cfg, name)
	h.byName[name] = made
	return made
}

func newHost(cfg Config, name string) *host {
	h := &host{cfg: cfg, name: name, limiter: rate.NewLimiter(cfg.Rate, cfg.Burst)}
	if cfg.BreakerFailures < 0 {
		return h
	}
	h.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, Timeout: cfg.BreakerPause,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return int(counts.ConsecutiveFailures) >= cfg.BreakerFailures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNotTheHost) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			cfg.Logger.Warn("circuit breaker of a host has turned", slog.String("host", name), slog.String("from", from.String()), slog.String("to", to.String()))
		},
	})
	return h
}

// errNotTheHost is an end of a request that says nothing about the host.
var errNotTheHost = errors.New("not the host's doing")

// pausedError is why no request was sent.
type pausedError struct{ cfg Config }

func (e pausedError) Error() string {
	return fmt.Sprintf("no request was sent: %d in a row have failed, and after a pause of %s one is let through to try", e.cfg.BreakerFailures, e.cfg.BreakerPause)
}

// admit waits until the host's rate allows a request, and asks whether the host is worth one. The caller tells done what
// came of the request.
func (h *host) admit(ctx context.Context) (done func(error), err error) {
	if err := h.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("no request was sent: more wait for %s than its rate of %v a second lets through in time", h.name, h.cfg.Rate)
	}
	if h.breaker == nil {
		return func(error) {}, nil
	}
	if done, err = h.breaker.Allow(); err != nil {
		return nil, pausedError{h.cfg}
	}
	return done, nil
}

// verdict is what a request says about its host: an error where the host failed.
func verdict(ctx context.Context, a answer, err error) error {
	var blocked *blockedError
	switch {
	case errors.As(err, &blocked):
		return errNotTheHost
	case err != nil && ctx.Err() != nil && !timedOut(ctx):
		return errNotTheHost // someone else ended the run
	case err != nil:
		return err
	case a.code >= http.StatusInternalServerError:
		return errors.New(a.status)
	}
	return nil
}

func timedOut(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return errors.Is(cause, executor.ErrTimeout) || errors.Is(cause, context.DeadlineExceeded)
}

// Defaults of what one host is spared.
const (
	DefaultRate            = rate.Limit(50) // requests per second
	DefaultBurst           = 100
	DefaultBreakerFailures = 5
	DefaultBreakerPause    = 30 * time.Second
)
