package trigger

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// BeatPublisher stores what the gateway lets in; *Publisher is one. Both methods block until it is stored, give
// ErrUnavailable where that is not certain, may be repeated with the same id, and are safe for concurrent use.
type BeatPublisher interface {
	PublishBeat(ctx context.Context, beat Beat) (Ack, error)
	PublishRun(ctx context.Context, run RunRequest) (Ack, error)
}

// SettledWatcher tells when beats have settled; *Events is one. WatchSettled returns once everything that happens from
// now on will be seen by the watch, which its caller closes. Safe for concurrent use.
type SettledWatcher interface {
	WatchSettled(group string) (*SettledWatch, error)
}

// Gateway takes heartbeats and run-now requests over HTTP and publishes them, and hands callbacks on to workers. It keeps no state of its own but the rate
// of its clients, and knows neither flows nor Redis.
//
// Each request is looked at in one order: where it comes from, who sends it, what it asks for, what its body says. Nothing
// of a later step is touched, nor told about, before the earlier ones are passed.
type Gateway struct {
	cfg     GatewayConfig
	beats   BeatPublisher
	events  SettledWatcher
	routes  routes
	clients clientResolver
	limiter *limiter
	now     func() time.Time // of the limiter
	access  atomic.Pointer[access]
	refused *Refusals
	waiting chan struct{}
	metrics *httpMetrics
	tracer  trace.Tracer
}

// access is Access, ready for use.
type access struct {
	auth  *Authenticator // nil: everybody
	allow prefixes
}

// NewGateway makes a gateway. Without events, which may be nil, a ?wait= is answered at once. The error is an
// InvalidError that names the fields of cfg.
func NewGateway(cfg GatewayConfig, beats BeatPublisher, events SettledWatcher) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure gateway: %w", err)
	}
	cfg = cfg.withDefaults()
	trusted, err := newPrefixes("trusted_proxies", cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, beats: beats, events: events,
		routes:  routes{heartbeat: cfg.Path, run: cfg.RunPath, callback: cfg.callbackPath()},
		clients: clientResolver{trusted: trusted},
		limiter: newLimiter(cfg.Rate, cfg.Burst), now: time.Now,
		waiting: make(chan struct{}, cfg.MaxWaiting),
		metrics: newHTTPMetrics(cfg.Registerer),
		tracer:  cfg.TracerProvider.Tracer("github.com/systole-run/systole/trigger"),
		refused: NewRefusals("gateway", cfg.Logger, cfg.Registerer),
	}
	return g, g.Reload(cfg.Access)
}

// Reload exchanges who is let in, for all requests from now on. If the new access is not valid the old one stays.
func (g *Gateway) Reload(next Access) error {
	var invalid InvalidError
	next.validate(&invalid)
	if err := invalid.orNil(); err != nil {
		return fmt.Errorf("reload access: %w", err)
	}
	allow, err := newPrefixes("allow", next.Allow)
	if err != nil {
		return err
	}
	g.access.Store(&access{auth: next.Auth, allow: allow})
	return nil
}

// Close tells of refusals that no line was written of. Call it in the end, if at all.
func (g *Gateway) Close() { g.refused.Flush() }

// Handler gives the gateway as a handler, to mount on a server of one's own. It must see the paths as they were sent:
// an http.ServeMux in front redirects unclean ones, unless it is asked only where Owns says so.
func (g *Gateway) Handler() http.Handler { return g }

// Owns reports whether the request's path lies at or below one of the gateway's.
func (g *Gateway) Owns(r *http.Request) bool { return g.routes.own(r.URL.EscapedPath()) }

// call is one request on its way through the gateway.
type call struct {
	route     route
	client    netip.Addr
	principal Principal
	attempt   attempt     // that a callback is for
	token     string      // of a callback
	bodyRead  bool        // whether the body was read to its end
	group     string      // that the request is for, as far as that is known
	notes     []slog.Attr // for the log line about the request
}

func (c *call) note(notes ...slog.Attr) { c.notes = append(c.notes, notes...) }

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c := &call{route: g.routes.match(r.URL.EscapedPath())}
	c.group = c.route.group
	answer := &answerWriter{ResponseWriter: w}
	ctx, span := g.startSpan(r, c.route)
	defer span.End()
	err := g.serve(answer, r.WithContext(ctx), c)
	if err != nil {
		problemOf(err).Write(answer, !c.bodyRead && r.ContentLength != 0)
	}
	endSpan(span, answer.status)
	took := time.Since(start)
	g.metrics.observe(c.route.name, r.Method, answer.status, took)
	g.log(ctx, r, c, answer.status, took, err)
}

// serve lets the request through the checks in their order, and then does what it asks for.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := g.admit(r, c); err != nil {
		return err
	}
	if err := checkRequest(r, c.route); err != nil {
		return err
	}
	return c.route.serve(g, w, r, c)
}

// admit decides by address, rate and credential. The rate comes before the credential, so that guessing tokens is
// bounded as well.
func (g *Gateway) admit(r *http.Request, c *call) (err error) {
	access := g.access.Load()
	client, known := g.clients.resolve(r)
	if c.client = client; !access.allow.admits(client, known) {
		return errAddress
	}
	if ForeignPage(r, access.auth == nil) { // GET is no less a heartbeat
		return errForeign
	}
	if wait, ok := g.limiter.take(client, g.now()); !ok {
		return NewProblem(http.StatusTooManyRequests, "too many requests from this address").RetryAfter(wait)
	}
	if c.route.run != "" {
		return g.identifyCallback(r, c)
	}
	c.principal = Anonymous()
	if access.auth != nil {
		if c.principal, err = access.auth.Authenticate(r); err != nil {
			return err
		}
	}
	return c.authorize()
}

// authorize checks the scope as far as the path tells where it is needed. A name that can be no group's is left to the
// checks of the request.
func (c *call) authorize() error {
	switch scope := c.route.scope; {
	case scope == "" || ValidName(c.route.group) && c.principal.Allowed(scope, c.route.group):
		return nil
	case !ValidName(c.route.group) && c.principal.anywhere(scope):
		return nil
	}
	return ErrForbidden
}
