package admin

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// Paths that need no credential.
const (
	pathHealth  = "/api/v1/health"
	pathOpenAPI = "/api/openapi.json"
	pathSchema  = "/api/flow.schema.json"
)

// Parameters that operations share; huma sees only exported ones. Their doc is also what an error says is allowed.
type (
	// InGroup is what is asked of one group.
	InGroup struct {
		Group string `query:"group" default:"default" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"a group: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit; default if left out"`
	}
	// InPage asks for a page of a listing.
	InPage struct {
		InGroup
		Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"a number of entries from 1 to 1000"`
		After string `query:"after" maxLength:"512" doc:"the next of an earlier page"`
	}
	// InFlow is about one flow.
	InFlow struct {
		InGroup
		Name string `path:"name" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"a flow: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"`
	}
	// InRun is about one run.
	InRun struct {
		InGroup
		ID string `path:"id" maxLength:"128" doc:"a run id, up to 128 bytes"`
	}
	// out is an answer with a JSON body.
	out[T any] struct{ Body T }
)

// register adds every operation. huma panics over a mistake in their types, so any test that calls New finds it.
func (a *API) register(api huma.API) {
	read, write := []string{trigger.ScopeRead}, []string{trigger.ScopeWrite}
	start := []string{trigger.ScopeWrite, trigger.ScopeRun}

	add(a, api, route{"listFlows", http.MethodGet, "/api/v1/flows", "List a group's flows by name", read}, a.listFlows)
	add(a, api, route{"getFlow", http.MethodGet, "/api/v1/flows/{name}", "Read a flow and where it stands", read}, a.getFlow)
	add(a, api, route{"deleteFlow", http.MethodDelete, "/api/v1/flows/{name}", "Delete a flow", write}, a.deleteFlow)
	add(a, api, route{"listApplied", http.MethodGet, "/api/v1/flows:applied", "List which flows of any group were applied from a source", []string{trigger.ScopeRead, trigger.ScopeWrite}}, a.listApplied)
	add(a, api, route{"listRuns", http.MethodGet, "/api/v1/runs", "List a group's runs, the newest first", read}, a.listRuns)
	add(a, api, route{"getRun", http.MethodGet, "/api/v1/runs/{id}", "Read a run", read}, a.getRun)
	add(a, api, route{"getRunLogs", http.MethodGet, "/api/v1/runs/{id}/logs", "Read the end of a run's output", read}, a.getRunLogs)
	add(a, api, route{"retryRun", http.MethodPost, "/api/v1/runs/{id}/retry", "Run a finished run again, with the same parameters", start}, a.retryRun)
	add(a, api, route{"resumeFlow", http.MethodPost, "/api/v1/flows/{name}/resume", "Let a paused flow run again", write}, a.resumeFlow)
	add(a, api, route{"listSlots", http.MethodGet, "/api/v1/flows/{name}/slots", "What became of a flow's slots, the newest first, or of one of them", read}, a.listSlots)
	add(a, api, route{"listDead", http.MethodGet, "/api/v1/dead", "List a group's occurrences that failed for good, the newest first, by their last run", read}, a.listDead)
	add(a, api, route{"retryDead", http.MethodPost, "/api/v1/dead/{id}/retry", "Run an occurrence that failed for good again, and take it off the list", start}, a.retryDead)
	add(a, api, route{"purgeDead", http.MethodDelete, "/api/v1/dead/{id}", "Take an occurrence off the list of those that failed for good", write}, a.purgeDead)
	add(a, api, route{"purgeAllDead", http.MethodDelete, "/api/v1/dead", "Empty a group's list of occurrences that failed for good", write}, a.purgeAllDead)
	add(a, api, route{"listBeats", http.MethodGet, "/api/v1/beats", "List a group's heartbeats, the newest first", read}, a.listBeats)
	add(a, api, route{"getStatus", http.MethodGet, "/api/v1/status", "Every group at a glance, or one of them", read}, a.getStatus)
	add(a, api, route{"getHealth", http.MethodGet, pathHealth, "Whether the API and Redis answer", nil}, a.getHealth)

	addBody[store.DataFlow](a, api, route{"putFlow", http.MethodPut, "/api/v1/flows/{name}", "Create or change a flow", write}, a.putFlow)
	addBody[store.DataFlow](a, api, route{"postFlow", http.MethodPost, "/api/v1/flows", "Create or change the flow that the body names", write}, a.postFlow)
	addBody[wire.ApplyRequest](a, api, route{"applyFlows", http.MethodPost, "/api/v1/flows:apply", "Create or change up to 1,000 flows, all or none, or say what that would do", write}, a.applyFlows)
	addBody[wire.RunRequest](a, api, route{"startRun", http.MethodPost, "/api/v1/flows/{name}/runs", "Run a flow now", start}, a.startRun)
	addBody[wire.ReasonRequest](a, api, route{"pauseFlow", http.MethodPost, "/api/v1/flows/{name}/pause", "Let no slot of a flow run until it is resumed", write}, a.pauseFlow)
	addBody[wire.ReasonRequest](a, api, route{"cancelRun", http.MethodPost, "/api/v1/runs/{id}/cancel", "End a run: at once if it is pending, else through its worker", start}, a.cancelRun)
}

// route is what one operation is called and who may call it: whoever has one of the scopes.
type route struct {
	id, method, path, summary string
	scopes                    []string
}

func (r route) operation(api huma.API) huma.Operation {
	problem := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.Problem](), true, "Problem")
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Metadata: map[string]any{metaScopes: r.scopes},
		Responses: map[string]*huma.Response{"default": {
			Description: "What was wrong", Content: map[string]*huma.MediaType{problemType: {Schema: problem}},
		}},
	}
	if r.scopes == nil {
		op.Security = []map[string][]string{{}}
	}
	return op
}

// add registers an operation without a body, and translates the errors of its handler.
func add[I, O any](a *API, api huma.API, r route, handler func(context.Context, *I) (*O, error)) {
	op := r.operation(api)
	op.DefaultStatus = defaultStatus[O]()
	huma.Register(api, op, translated(a, r.id, handler))
}

// defaultStatus is 202 for what starts a run, else left to huma.
func defaultStatus[O any]() int {
	if reflect.TypeFor[O]() == reflect.TypeFor[out[wire.RunStarted]]() {
		return http.StatusAccepted
	}
	return 0
}

// addBody registers an operation whose handler decodes the body itself, strictly; the documentation shows it as a B.
func addBody[B, I, O any](a *API, api huma.API, r route, handler func(context.Context, *I) (*O, error)) {
	op := r.operation(api)
	op.SkipValidateBody = true
	op.MaxBodyBytes = wire.MaxBody + 1 // huma refuses a body that is as long as its limit
	if r.id == "applyFlows" {
		op.MaxBodyBytes = wire.MaxApplyBody + 1
	}
	op.DefaultStatus = defaultStatus[O]()
	body := &huma.RequestBody{Content: map[string]*huma.MediaType{}}
	op.RequestBody = body
	huma.Register(api, op, translated(a, r.id, handler))
	if reflect.TypeFor[O]() == reflect.TypeFor[changed]() {
		op.Responses["201"] = &huma.Response{Description: "Created", Content: op.Responses["200"].Content}
	}
	// What huma has made of a body of raw bytes is put right here; it reads this again on each request.
	body.Required = needed(reflect.TypeFor[B]())
	body.Content["application/json"].Schema = api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[B](), true, "")
}

// needed reports whether a body must be there: where all that it holds may be left out, so may it.
func needed(body reflect.Type) bool {
	return body != reflect.TypeFor[wire.RunRequest]() && body != reflect.TypeFor[wire.ReasonRequest]()
}

// translated gives every error of a handler the status of the one table, and logs those that it does not know.
func translated[I, O any](a *API, id string, handler func(context.Context, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		answer, err := handler(ctx, in)
		if err == nil {
			return answer, nil
		}
		r, known := refusalOf(err)
		if !known || r.Status == http.StatusServiceUnavailable {
			a.cfg.Logger.ErrorContext(ctx, "admin request failed", keyOperation, id, logkey.Status, r.Status, logkey.Principal, principal(ctx).Name, logkey.Error, err)
		}
		return nil, r
	}
}
