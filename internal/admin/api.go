package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
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

// Authenticator says who sent a request. *trigger.Authenticator is one. Its error is why nobody it knows did.
type Authenticator interface {
	Authenticate(r *http.Request) (trigger.Principal, error)
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
	if err := a.registerDocuments(api); err != nil {
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
	a.auth.Store(&auth)
	return nil
}

// settings of huma. Its documents are served by registerDocuments: huma builds them on the first request, unguarded.
func settings(version string) huma.Config {
	spec := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Systole admin API", Version: version},
		Components: &huma.Components{
			Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}},
		},
		Security: []map[string][]string{{"token": {}}},
	}
	return huma.Config{
		OpenAPI: spec, DefaultFormat: "application/json", Transformers: []huma.Transformer{translateProblem},
		Formats: map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
	}
}

// registerDocuments serves what describes the API and the flows. They hold nothing of the deployment, and editors cannot send a credential.
func (a *API) registerDocuments(api huma.API) error {
	spec, err := json.MarshalIndent(api.OpenAPI(), "", "  ")
	if err != nil {
		return fmt.Errorf("encode OpenAPI: %w", err)
	}
	schema, err := manifest.Schema()
	if err != nil {
		return fmt.Errorf("make the schema of flows: %w", err)
	}
	a.mux.HandleFunc("GET "+pathOpenAPI, document("application/openapi+json", spec))
	a.mux.HandleFunc("GET "+pathSchema, document("application/schema+json", schema))
	return nil
}

func document(contentType string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(content) // a client that has gone away cannot be told anything
	}
}
