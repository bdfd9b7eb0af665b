package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/systole-run/systole/internal/manifest"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// Prefix is the path that everything of the API is under.
const Prefix = "/api/"

// DefaultTimeout bounds the work on one request.
const DefaultTimeout = 30 * time.Second

// Store is what the API needs of package store, with the errors described there. It is safe for concurrent use.
type Store interface {
	PutFlows(ctx context.Context, source string, flows []store.DataFlow) ([]store.FlowChange, error)
	PlanFlows(ctx context.Context, source string, flows []store.DataFlow) ([]store.FlowChange, error)
	DeleteFlow(ctx context.Context, group, name string) error
	DeleteFlowFrom(ctx context.Context, source, group, name string) error
	Groups(ctx context.Context) ([]string, error)
	FlowsFrom(ctx context.Context, groups []string, source string, limit int, after string) (flows []store.FlowRef, next string, err error)
	Flow(ctx context.Context, group, name string) (store.FlowView, error)
	Flows(ctx context.Context, group string, limit int, after string) (flows []store.FlowView, next string, err error)
	Run(ctx context.Context, group, id string) (store.Run, error)
	Runs(ctx context.Context, group string, filter store.RunFilter) (runs []store.Run, next string, err error)
	RunLog(ctx context.Context, group, id string) ([]byte, error)
	Beats(ctx context.Context, group string, limit int, after string) (beats []store.BeatView, next string, err error)
	Status(ctx context.Context) ([]store.GroupStatus, error)
	Enqueue(ctx context.Context, ask store.RunNow) (runID string, err error)
	PauseFlow(ctx context.Context, group, name, reason string) error
	ResumeFlow(ctx context.Context, group, name string) error
	CancelRun(ctx context.Context, group, id, reason string) (store.Run, error)
	RetryRun(ctx context.Context, group, id string) (runID string, err error)
	RetryDead(ctx context.Context, group, id string) (runID string, err error)
	Slots(ctx context.Context, group, flow string, limit int) ([]store.SlotRange, error)
	SlotAt(ctx context.Context, group, flow string, at time.Time) (store.SlotRange, error)
	Dead(ctx context.Context, group string, limit int, after string) (runs []store.Run, next string, err error)
	PurgeDead(ctx context.Context, group string, ids []string) (purged int, err error)
	Ping(ctx context.Context) error
}

// Waker tells workers that there is something to claim in a group. It is a hint: where it is lost, the next heartbeat does the same.
type Waker interface {
	Wake(group string) error
}

// Canceller tells the workers of a group that a run is to be ended. A Waker may be one, too. It is a hint: where it is lost, the worker
// of the run finds out when it renews its lease.
type Canceller interface {
	Cancel(group, runID string) error
}

// Authenticator says who sent a request. *trigger.Authenticator is one. Its error is why nobody it knows did. Kinds are those of
// the credentials that it takes.
type Authenticator interface {
	Authenticate(r *http.Request) (trigger.Principal, error)
	Kinds() []string
}

// Config is how the API behaves. Zero fields take the default named.
type Config struct {
	Auth           Authenticator // nil is allowed only with AllowAnonymous
	AllowAnonymous bool          // everyone may do everything; Auth must be nil then
	Version        string        // of the program, for health and OpenAPI; default "dev"
	Timeout        time.Duration // for one request; default DefaultTimeout
	// CheckFlow says what is wrong with a valid flow as far as can be known here: settings of the workers that it does not
	// fit. Its error is a store.InvalidError; nil checks nothing.
	CheckFlow func(store.DataFlow) error
	Logger    *slog.Logger      // default: discarded
	Refusals  *trigger.Refusals // is told of callers that are not let in; default: one that writes to Logger
}

func (c Config) withDefaults() (Config, error) {
	if (c.Auth == nil) != c.AllowAnonymous {
		return c, errors.New("admin config: Auth and AllowAnonymous: found both or neither, allowed is exactly one")
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("admin config: Timeout: found %s, allowed is a positive duration", c.Timeout)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.CheckFlow == nil {
		c.CheckFlow = func(store.DataFlow) error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Refusals == nil {
		c.Refusals = trigger.NewRefusals("console", c.Logger, nil)
	}
	return c, nil
}

// API serves everything under Prefix. It is safe for concurrent use.
type API struct {
	cfg   Config
	store Store
	wake  Waker
	auth  atomic.Pointer[Authenticator]
	spec  *huma.OpenAPI // but for what it says of credentials
	told  atomic.Pointer[[]byte]
	mux   *http.ServeMux
	entry http.Handler
}

// New makes the API over a store. wake may be nil: runs that are asked for then wait for the next heartbeat. Where it is a Canceller,
// too, it is told of runs that are to be ended.
func New(cfg Config, store Store, wake Waker) (*API, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &API{cfg: cfg, store: store, wake: wake, mux: http.NewServeMux()}
	a.auth.Store(&cfg.Auth)
	api := humago.New(a.mux, settings(cfg.Version))
	api.UseMiddleware(a.guard)
	a.register(api)
	a.spec = api.OpenAPI()
	if err := a.registerDocuments(); err != nil {
		return nil, err
	}
	a.entry = a.entrance()
	return a, nil
}

// Handler serves the API. It can be mounted on any mux, at Prefix.
func (a *API) Handler() http.Handler { return a.entry }

// Reload replaces the authenticator; requests that are being served keep the old one. An open API stays open: what
// was said in so many words is not changed on the way.
func (a *API) Reload(auth Authenticator) error {
	if a.cfg.AllowAnonymous || auth == nil {
		return errors.New("reload admin authentication: switching it on or off needs a restart")
	}
	spec, err := describe(a.spec, auth)
	if err != nil {
		return err
	}
	a.auth.Store(&auth)
	a.told.Store(&spec)
	return nil
}

// settings of huma. Its documents are served by registerDocuments: huma builds them on the first request, unguarded.
func settings(version string) huma.Config {
	spec := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Systole admin API", Version: version},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
		},
	}
	return huma.Config{
		OpenAPI: spec, DefaultFormat: "application/json", Transformers: []huma.Transformer{translateProblem},
		Formats: map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
	}
}

// registerDocuments serves what describes the API and the flows. They hold nothing of the deployment but which kinds of credentials
// it takes, and editors cannot send one.
func (a *API) registerDocuments() error {
	spec, err := describe(a.spec, a.cfg.Auth)
	if err != nil {
		return err
	}
	a.told.Store(&spec)
	schema, err := manifest.Schema()
	if err != nil {
		return fmt.Errorf("make the schema of flows: %w", err)
	}
	a.mux.HandleFunc("GET "+pathOpenAPI, document("application/openapi+json", func() []byte { return *a.told.Load() }))
	a.mux.HandleFunc("GET "+pathSchema, document("application/schema+json", func() []byte { return schema }))
	return nil
}

func document(contentType string, content func() []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(content()) // a client that has gone away cannot be told anything
	}
}

// schemes are how OpenAPI calls the kinds of credentials. A token or JWT may also come in a header of its own.
var schemes = map[string]map[string]*huma.SecurityScheme{
	trigger.KindToken: {
		"token":       {Type: "http", Scheme: "bearer"},
		"tokenHeader": {Type: "apiKey", In: "header", Name: trigger.HeaderToken},
	},
	trigger.KindOIDC: {
		"jwt":       {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "a JWT of an OpenID Connect issuer"},
		"jwtHeader": {Type: "apiKey", In: "header", Name: trigger.HeaderToken, Description: "a JWT of an OpenID Connect issuer"},
	},
	trigger.KindMTLS: {"certificate": {Type: "mutualTLS"}},
}

// describe gives the OpenAPI document, with any one of the credentials that are taken asked for; without auth, none.
func describe(spec *huma.OpenAPI, auth Authenticator) ([]byte, error) {
	document, components := *spec, *spec.Components
	document.Components = &components
	if auth != nil {
		components.SecuritySchemes = map[string]*huma.SecurityScheme{}
		for _, kind := range auth.Kinds() {
			maps.Copy(components.SecuritySchemes, schemes[kind])
		}
		for _, name := range slices.Sorted(maps.Keys(components.SecuritySchemes)) {
			document.Security = append(document.Security, map[string][]string{name: {}})
		}
	}
	text, err := json.MarshalIndent(&document, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode OpenAPI: %w", err)
	}
	return text, nil
}
