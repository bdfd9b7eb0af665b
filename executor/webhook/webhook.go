// Package webhook runs flows of the kind `http`: one request per run, whose answer is the run's result.
//
// It owns the request's form and signature, the addresses that requests may go to, the connections, what one host is
// spared, the reading of answers, and the waiting for a callback. What brings callbacks is someone else's (Callbacks).
//
//	wait for the host's rate, ask its breaker ──> make the request, sign it ──> connect, if the address may be ──> answer
//	                                                                                                                 │
//	                             result <── callback, or the end of the run <── 202 of a flow that takes a callback ─┤
//	                             result <──────────────────────────────────────────────────────── anything else ─────┘
//
// What always holds: a request reaches the address in the flow or none: a redirect is never followed, no proxy is taken
// from the environment, and each connection is checked by the address that it is made to, after its name was
// resolved; an answer is read only up to MaxAnswer and only until ctx ends, however slowly it comes; neither a query, where
// secrets tend to live, nor a header gets into an error or a log; and a run ends with one outcome, whatever comes first
// of answer, callback and the end of ctx.
//
// A callback is taken by the attempt that asked for it and by no other. If its worker dies, the occurrence's next attempt
// sends the request again, with the same webhook-id and another callback: a receiver that knows the id from before goes
// on with the job that it has, and reports to the new callback.
package webhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/metric"
	"github.com/systole-run/systole/store"
)

// Kind is what store.DataFlow.Kind says of the flows that this package runs.
const Kind = "http"

// DefaultConnectTimeout bounds connecting, and the TLS handshake, each.
const DefaultConnectTimeout = 10 * time.Second

// DefaultMaxConnsPerHost bounds the connections to one host; further runs wait for one.
const DefaultMaxConnsPerHost = 64

// Config of an Executor. The zero value is usable.
type Config struct {
	// Allow are the networks that requests may go to beside public addresses: none by default, not even this machine.
	Allow           []netip.Prefix
	ConnectTimeout  time.Duration // default DefaultConnectTimeout; the answer is bounded by the flow's timeout
	MaxConnsPerHost int           // default DefaultMaxConnsPerHost
	// Rate and Burst bound the requests to one host; further runs wait. Default DefaultRate and DefaultBurst; a negative
	// Rate is no bound.
	Rate  rate.Limit
	Burst int
	// BreakerFailures is after how many failed requests in a row a host is sent none for BreakerPause; then one is let
	// through to try. Default DefaultBreakerFailures and DefaultBreakerPause; negative is never.
	BreakerFailures int
	BreakerPause    time.Duration
	Callbacks       Callbacks             // brings callbacks; nil refuses flows that take one
	TLS             *tls.Config           // nil for the system's certificates and TLS 1.2 or newer
	Resolver        *net.Resolver         // default net.DefaultResolver
	UserAgent       string                // default "systole"
	Logger          *slog.Logger          // hears of hosts that fail; default slog.Default()
	Registerer      prometheus.Registerer // gets the metric of hosts that are spared; nil: nobody does
	Now             func() time.Time      // default time.Now; stamps the requests
}

// Executor implements executor.FlowExecutor. It is safe for concurrent use.
type Executor struct {
	cfg     Config
	clients *clients
	hosts   *hosts
}

// New gives an Executor. Its error names the field at fault. Close frees its idle connections.
func New(cfg Config) (*Executor, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	e := &Executor{cfg: cfg, clients: newClients(cfg), hosts: newHosts(cfg)}
	metric.Register(cfg.Registerer, e.hosts) // of several Executors with one registry, the first one tells
	return e, nil
}

func (c Config) validate() error {
	switch {
	case c.ConnectTimeout < 0:
		return fmt.Errorf("new http executor: ConnectTimeout: found %s, allowed is 0 (%s) or more", c.ConnectTimeout, DefaultConnectTimeout)
	case c.MaxConnsPerHost < 0:
		return fmt.Errorf("new http executor: MaxConnsPerHost: found %d, allowed is 0 (%d) or more", c.MaxConnsPerHost, DefaultMaxConnsPerHost)
	case c.Burst < 0:
		return fmt.Errorf("new http executor: Burst: found %d, allowed is 0 (%d) or more", c.Burst, DefaultBurst)
	case c.BreakerPause < 0:
		return fmt.Errorf("new http executor: BreakerPause: found %s, allowed is 0 (%s) or more", c.BreakerPause, DefaultBreakerPause)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)
	c.MaxConnsPerHost = cmp.Or(c.MaxConnsPerHost, DefaultMaxConnsPerHost)
	c.Rate = cmp.Or(c.Rate, DefaultRate)
	c.Burst = cmp.Or(c.Burst, DefaultBurst)
	c.BreakerFailures = cmp.Or(c.BreakerFailures, DefaultBreakerFailures)
	c.BreakerPause = cmp.Or(c.BreakerPause, DefaultBreakerPause)
	c.UserAgent = cmp.Or(c.UserAgent, "systole")
	if c.Rate < 0 {
		c.Rate = rate.Inf
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Close closes idle connections. Runs that go on are not disturbed.
func (e *Executor) Close() error {
	e.clients.close()
	return nil
}

// Execute implements executor.FlowExecutor.
func (e *Executor) Execute(ctx context.Context, task executor.Task) executor.Result {
	if task.Flow.HTTP == nil {
		return refused(executor.Permanent(fmt.Errorf("make request: found a flow of kind %q", task.Flow.Kind())))
	}
	client, err := e.clients.of(task)
	if err != nil {
		return refused(err)
	}
	callback, err := e.await(task)
	if err != nil {
		return refused(err)
	}
	if callback != nil {
		defer callback.stop()
	}
	answered, code := e.ask(ctx, task, client, callback)
	return callback.end(ctx, task, answered, code)
}

// ask sends the request, once its host may be asked, and gives what the answer means, with its status; 0 if none came. The
// request is made after the waiting, since its signature has a time.
func (e *Executor) ask(ctx context.Context, task executor.Task, client *http.Client, callback *callback) (executor.Result, int) {
	address, err := url.Parse(task.Flow.HTTP.URL)
	if err != nil {
		return refused(executor.Permanent(errInvalidURL)), 0
	}
	target := task.Flow.HTTP.Method + " " + place(address)
	done, err := e.hosts.of(strings.ToLower(address.Host)).admit(ctx)
	if err != nil {
		return failed(ctx, target, err), 0
	}
	request, err := e.request(ctx, task, callback)
	if err != nil {
		done(errNotTheHost)
		return refused(executor.Permanent(fmt.Errorf("make request: %w", err))), 0
	}
	start := time.Now()
	answer, err := send(client, request)
	done(verdict(ctx, answer, err))
	if err != nil {
		fmt.Fprintf(task.Output(), "%s: %v\n", target, err)
		return failed(ctx, target, err), 0
	}
	answer.body = callback.conceal([]byte(task.Concealed(string(answer.body)))) // before an error shows the start of it
	took := time.Since(start).Round(time.Millisecond)
	fmt.Fprintf(task.Output(), "%s: %s in %s\n%s", target, answer.status, took, answer.logText())
	return answer.result(), answer.code
}

func refused(err error) executor.Result { return executor.Failure(store.ReasonRefused, err) }

// failed is the Result of a request without an answer: retryable, as nobody knows whether it arrived; but refused for
// good where the address is one that no request may go to.
func failed(ctx context.Context, target string, err error) executor.Result {
	if blocked := new(blockedError); errors.As(err, &blocked) {
		return refused(executor.Permanent(fmt.Errorf("%s: %w", target, err)))
	}
	if ctx.Err() != nil {
		return executor.Interrupted(ctx, fmt.Errorf("no whole answer from %s", target))
	}
	return executor.Failure(store.ReasonError, fmt.Errorf("%s: %w", target, err))
}

// send gives the whole answer, up to MaxAnswer of it. The transport sends a request again only where the kept
// connection turned out to be closed before the server can have seen it, or the method is GET.
func send(client *http.Client, request *http.Request) (answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return answer{}, withoutURL(err)
	}
	defer response.Body.Close()
	return readAnswer(response)
}

// withoutURL takes off what net/http puts around an error: the whole URL, with its query.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// place is a URL as it may be shown: without user, query and fragment.
func place(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
