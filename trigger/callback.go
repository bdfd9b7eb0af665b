package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Callbacks bring what a receiver reports of a long job from the gateway, where it comes in, to the worker that holds the
// run. Both have one, with the same key:
//
//	worker: Await ── subscribes to systole.callback.<group>.<run> <───────────────────┐
//	          │ URL and token                                                         │ request, with the token
//	          └──> receiver ──> POST /callback/<run> ──> gateway: checks the token ───┘
//	               receiver <── 202, 400, 409, 410 <──── gateway <── what the worker says of the report
//
// A report is taken by the attempt that its token is for or by nobody: NATS says at once where no worker waits for it, since
// the run has ended or its worker is gone. An answer that was lost is had again by sending the same report again, for
// a while after the run has ended, too, as long as its worker lives.
//
// It keeps nothing that could be lost: if the worker dies, the occurrence's next attempt asks the receiver again. Safe for
// concurrent use.
type Callbacks struct {
	cfg      CallbacksConfig
	nc       *nats.Conn
	subjects Subjects

	mu    sync.Mutex
	taken []*awaited // whose reports were taken, the oldest first, until they are forgotten
}

// CallbacksConfig configures Callbacks. Key is needed, and URL to Await.
type CallbacksConfig struct {
	Prefix   string        // of the subjects; DefaultPrefix
	Key      []byte        // shared by all gateways and workers: MinCallbackKey bytes or more
	URL      string        // where receivers reach the gateway's callback path, such as https://systole.example/callback
	Remember time.Duration // how long a report that was taken is remembered after the run; default DefaultRemember
	Timeout  time.Duration // for the worker's answer; default DefaultCallbackTimeout
}

// Defaults of a CallbacksConfig.
const (
	DefaultRemember        = 10 * time.Minute
	DefaultCallbackTimeout = 5 * time.Second
)

// mostRemembered bounds the reports that are remembered; beyond it, the oldest is forgotten.
const mostRemembered = 1000

// MaxReport is how large a report may be, in bytes: a cursor of the largest size fits, and as much again.
const MaxReport = 128 << 10

// headerCallbackToken carries the token to the worker, which checks it again: not everyone who may publish on the subject
// may end a run.
const headerCallbackToken = "Systole-Callback-Token"

// NewCallbacks makes callbacks on a connection, which stays the caller's. The error is an InvalidError that names the
// fields of cfg, and holds nothing of the key.
func NewCallbacks(nc *nats.Conn, cfg CallbacksConfig) (*Callbacks, error) {
	subjects := Subjects{Prefix: cfg.Prefix}
	if nc == nil {
		return nil, errors.New("connection: found nil, allowed is an open NATS connection")
	}
	if err := subjects.validate(); err != nil {
		return nil, err
	}
	var invalid InvalidError
	if len(cfg.Key) < MinCallbackKey {
		invalid.add("key", fmt.Sprintf("%d bytes", len(cfg.Key)), fmt.Sprintf("%d bytes or more", MinCallbackKey))
	}
	if cfg.URL != "" && !validCallbackURL(cfg.URL) {
		invalid.add("url", quote(cfg.URL), "an http or https URL without user, query and fragment, such as https://systole.example/callback")
	}
	if err := invalid.orNil(); err != nil {
		return nil, fmt.Errorf("configure callbacks: %w", err)
	}
	orDefault(&cfg.Remember, DefaultRemember)
	orDefault(&cfg.Timeout, DefaultCallbackTimeout)
	return &Callbacks{cfg: cfg, nc: nc, subjects: subjects}, nil
}

func validCallbackURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

func (c *Callbacks) key() callbackKey { return c.cfg.Key }

func (c *Callbacks) remember(a *awaited) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.forget = time.AfterFunc(c.cfg.Remember, func() { c.forget(a) })
	c.taken = append(c.taken, a)
	if len(c.taken) > mostRemembered {
		c.taken[0].forget.Stop()
		c.taken[0].close()
		c.taken = slices.Delete(c.taken, 0, 1)
	}
}

func (c *Callbacks) forget(a *awaited) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.taken, a); i >= 0 {
		a.close()
		c.taken = slices.Delete(c.taken, i, i+1)
	}
}

// Close forgets all reports. Attempts that are still awaited are their owners' to stop.
func (c *Callbacks) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.taken {
		a.forget.Stop()
		a.close()
	}
	c.taken = nil
}

// errNobody is a report that nobody waits for.
var errNobody = errors.New("nobody waits for a report on this run: it has ended, or its worker is gone and the next attempt asks for a report of its own")

// deliver hands a report on to the worker that waits for it. The error is errNobody where there is none, and
// ErrUnavailable where it is not certain what became of the report: it may be sent again.
func (c *Callbacks) deliver(ctx context.Context, a attempt, token string, body []byte) (reportAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	msg := nats.NewMsg(c.subjects.Callback(a.Group, a.RunID))
	msg.Header.Set(headerCallbackToken, token)
	msg.Data = body
	reply, err := c.nc.RequestMsgWithContext(ctx, msg)
	if errors.Is(err, nats.ErrNoResponders) {
		return reportAnswer{}, errNobody
	}
	if err != nil {
		return reportAnswer{}, fmt.Errorf("hand callback on: %w: %w", ErrUnavailable, err)
	}
	var answer reportAnswer
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return reportAnswer{}, fmt.Errorf("read answer to callback: %w", err)
	}
	if answer.Outcome == reportNobody {
		return reportAnswer{}, errNobody
	}
	return answer, nil
}
