package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/strictjson"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

const problemType = "application/problem+json"

// refusal is a problem on its way to the client. It satisfies what huma asks of errors and of bodies.
type refusal struct {
	wire.Problem
	headers http.Header
}

func refuse(status int, detail string, fields ...store.FieldError) *refusal {
	return &refusal{Problem: wire.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields,
	}}
}

// with adds a header to the answer.
func (r *refusal) with(name, value string) *refusal {
	if r.headers == nil {
		r.headers = http.Header{}
	}
	r.headers.Set(name, value)
	return r
}

// Error implements error.
func (r *refusal) Error() string { return r.Title + ": " + r.Detail }

// GetStatus implements huma.StatusError.
func (r *refusal) GetStatus() int { return r.Status }

// GetHeaders implements huma.HeadersError.
func (r *refusal) GetHeaders() http.Header { return r.headers }

// ContentType implements huma.ContentTypeFilter.
func (r *refusal) ContentType(string) string { return problemType }

// MarshalJSON gives the problem alone.
func (r *refusal) MarshalJSON() ([]byte, error) { return json.Marshal(r.Problem) }

// write sends the refusal where huma is not involved.
func (r *refusal) write(w http.ResponseWriter) {
	for name, values := range r.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(r.Status)
	_ = json.NewEncoder(w).Encode(r.Problem) // a client that has gone away cannot be told anything
}

// Answers to a credential that does not do.
const challenge = `Bearer realm="systole"`

func unauthorized(err error) *refusal {
	if errors.Is(err, trigger.ErrUndecided) {
		return refuse(http.StatusServiceUnavailable, trigger.ErrUndecided.Error()).with("Retry-After", "10")
	}
	if errors.Is(err, trigger.ErrNoCredential) {
		return refuse(http.StatusUnauthorized, err.Error()).with("WWW-Authenticate", challenge)
	}
	return refuse(http.StatusUnauthorized, "the credential is not accepted").with("WWW-Authenticate", challenge+`, error="invalid_token"`)
}

func forbidden(scope, group string) *refusal {
	return refuse(http.StatusForbidden, "the credential lacks the scope "+scope+" in group "+group).
		with("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+scope+`"`)
}

// refusalOf is the one table from errors to statuses. What it does not know is a 500 that tells nothing of its cause;
// known says whether it did.
func refusalOf(err error) (r *refusal, known bool) {
	var invalid store.InvalidError
	switch {
	case errors.As(err, &r):
		return r, true
	case errors.As(err, &invalid):
		return refuse(http.StatusBadRequest, "the request is invalid; errors lists every fault", invalid...), true
	case errors.Is(err, store.ErrNotFound):
		return refuse(http.StatusNotFound, err.Error()), true
	case errors.Is(err, store.ErrEnded):
		return refuse(http.StatusConflict, "the run has ended, so there is nothing to cancel; it can be retried"), true
	case errors.Is(err, store.ErrNotEnded):
		return refuse(http.StatusConflict, "the run has not ended; only a finished run can be retried: wait for its end, or cancel it"), true
	case errors.Is(err, store.ErrQueueFull):
		return refuse(http.StatusTooManyRequests, "too many run-nows are waiting").with("Retry-After", "10"), true
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return refuse(http.StatusServiceUnavailable, "Redis did not answer, or has no memory or disk left; the request may have taken effect").with("Retry-After", "2"), true
	}
	return refuse(http.StatusInternalServerError, "the cause is in the log of the server"), false
}

// malformed gives what strictjson found as a refusal.
func malformed(err error) *refusal {
	return refuse(http.StatusBadRequest, "the body cannot be read; errors lists every fault", problems(err)...)
}

// problems gives what strictjson found as errors of fields.
func problems(err error) []store.FieldError {
	var found strictjson.Error
	if !errors.As(err, &found) {
		return []store.FieldError{{Found: err.Error(), Allowed: "a JSON object"}}
	}
	fields := make([]store.FieldError, len(found))
	for i, problem := range found {
		fields[i] = store.FieldError{Field: problem.Field, Found: problem.Found, Allowed: problem.Allowed}
	}
	return fields
}

// translateProblem gives what huma itself refuses, such as a body that is too large, the shape of everything else.
func translateProblem(_ huma.Context, _ string, body any) (any, error) {
	model, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	problem := refuse(model.Status, model.Detail).Problem
	for _, e := range model.Errors {
		_, field, _ := strings.Cut(e.Location, ".")
		problem.Errors = append(problem.Errors, store.FieldError{Field: field, Found: "a value that is refused", Allowed: e.Message})
	}
	return problem, nil
}
