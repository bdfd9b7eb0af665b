// Package webhook runs flows of the kind `http`: one request per run, whose answer is the run's result.
//
// It owns the request's form, the connections, and the reading of answers. What always holds: an answer is read only
// up to MaxAnswer and only until ctx ends, however slowly it comes; a redirect is never followed and no proxy is
// taken from the environment, so that a request reaches the address in the flow or none; and neither a query, where
// secrets tend to live, nor a header gets into an error or a log.
//
// A request's body is complete before its headers are made, and connections are opened in one place: signing the body
// and checking the resolved address have their places there.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/systole-run/systole/executor"
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
	ConnectTimeout  time.Duration    // default DefaultConnectTimeout; the answer is bounded by the flow's timeout
	MaxConnsPerHost int              // default DefaultMaxConnsPerHost
	TLS             *tls.Config      // nil for the system's certificates and TLS 1.2 or newer
	UserAgent       string           // default "systole"
	Now             func() time.Time // default time.Now; stamps the requests
}

// Executor implements executor.FlowExecutor. It is safe for concurrent use.
type Executor struct {
	cfg    Config
	client *http.Client
}

// New gives an Executor. Its error names the field at fault. Close frees its idle connections.
func New(cfg Config) (*Executor, error) {
	if cfg.ConnectTimeout < 0 {
		return nil, fmt.Errorf("new http executor: ConnectTimeout: found %s, allowed is 0 (%s) or more", cfg.ConnectTimeout, DefaultConnectTimeout)
	}
	if cfg.MaxConnsPerHost < 0 {
		return nil, fmt.Errorf("new http executor: MaxConnsPerHost: found %d, allowed is 0 (%d) or more", cfg.MaxConnsPerHost, DefaultMaxConnsPerHost)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = DefaultConnectTimeout
	}
	if cfg.MaxConnsPerHost == 0 {
		cfg.MaxConnsPerHost = DefaultMaxConnsPerHost
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "systole"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Executor{cfg: cfg, client: newClient(cfg)}, nil
}

// newClient gives a client that goes where it is told: no proxy, no redirect, no cookie.
func newClient(cfg Config) *http.Client {
	dialer := &net.Dialer{Timeout: cfg.ConnectTimeout}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        tlsConfig(cfg.TLS),
			TLSHandshakeTimeout:    cfg.ConnectTimeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // an answer is as long as it is on the wire
			MaxResponseHeaderBytes: 64 << 10,
			MaxConnsPerHost:        cfg.MaxConnsPerHost,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
		},
	}
}

func tlsConfig(given *tls.Config) *tls.Config {
	if given == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return given.Clone()
}

// Close closes idle connections. Runs that go on are not disturbed.
func (e *Executor) Close() error {
	e.client.CloseIdleConnections()
	return nil
}

// Execute implements executor.FlowExecutor.
func (e *Executor) Execute(ctx context.Context, task executor.Task) executor.Result {
	request, err := e.request(ctx, task)
	if err != nil {
		return executor.Failure(store.ReasonRefused, executor.Permanent(fmt.Errorf("make request: %w", err)))
	}
	start := time.Now()
	answer, err := e.send(request)
	target := request.Method + " " + place(request.URL)
	if err != nil {
		fmt.Fprintf(task.Output(), "%s: %v\n", target, err)
		return failed(ctx, target, err)
	}
	took := time.Since(start).Round(time.Millisecond)
	fmt.Fprintf(task.Output(), "%s: %s in %s\n%s", target, answer.status, took, answer.logText())
	answer.body = []byte(task.Concealed(string(answer.body))) // before an error shows the start of it
	return answer.result()
}

// failed is the Result of a request without an answer: retryable, as nobody knows whether it arrived.
func failed(ctx context.Context, target string, err error) executor.Result {
	if ctx.Err() != nil {
		return executor.Interrupted(ctx, fmt.Errorf("no whole answer from %s", target))
	}
	return executor.Failure(store.ReasonError, fmt.Errorf("%s: %w", target, err))
}

// send gives the whole answer, up to MaxAnswer of it. The transport sends a request again only where the kept
// connection turned out to be closed before the server can have seen it, or the method is GET.
func (e *Executor) send(request *http.Request) (answer, error) {
	response, err := e.client.Do(request)
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
