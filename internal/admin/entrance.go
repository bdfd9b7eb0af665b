package admin

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"path"
	"runtime/debug"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/trigger"
)

// keyOperation is the log key of what was asked for.
const keyOperation = "operation"

// caller is who sent a request, as its context carries it.
type caller struct {
	who     trigger.Principal
	request *http.Request
}

type callerKey struct{}

func principal(ctx context.Context) trigger.Principal {
	from, _ := ctx.Value(callerKey{}).(caller) // the zero value is allowed nothing
	return from.who
}

// entrance is what every request goes through before its route: in this order, since a request is to be refused by the
// cheapest check that can.
func (a *API) entrance() http.Handler {
	return a.recovered(headers(a.routed(a.sameOrigin(a.authenticated(bodied(a.bounded(a.mux)))))))
}

// recovered turns a panic into one failed request.
func (a *API) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch cause := recover(); cause {
			case nil:
			case http.ErrAbortHandler:
				panic(cause)
			default:
				a.cfg.Logger.ErrorContext(r.Context(), "admin request panicked", keyOperation, r.Method+" "+r.URL.Path, logkey.Error, fmt.Sprint(cause), "stack", string(debug.Stack()))
				refuse(http.StatusInternalServerError, "the cause is in the log of the server").write(w)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// headers says that no answer may be kept, guessed at, framed or run.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// routed answers for paths and methods that do not exist, in place of the mux' plain text and redirects.
func (a *API) routed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Clean(r.URL.Path) != r.URL.Path {
			refuse(http.StatusNotFound, "there is nothing at this path").write(w)
			return
		}
		handler, pattern := a.mux.Handler(r)
		if pattern != "" {
			next.ServeHTTP(w, r)
			return
		}
		answer := &statusOnly{header: http.Header{}}
		handler.ServeHTTP(answer, r)
		if allowed := answer.header.Get("Allow"); answer.status == http.StatusMethodNotAllowed {
			refuse(http.StatusMethodNotAllowed, "allowed here is "+allowed).with("Allow", allowed).write(w)
			return
		}
		refuse(http.StatusNotFound, "there is nothing at this path").write(w)
	})
}

// statusOnly keeps the head of an answer and drops the rest.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(p []byte) (int, error) { return len(p), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }

// sameOrigin refuses what a foreign web page makes a browser send: flows are commands, and an open API on loopback
// would let every page run them. To read takes more than that: browsers keep answers from foreign pages, unless DNS rebinding
// makes a page seem to be none.
func (a *API) sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Origin") == ""
		if !reads && trigger.ForeignPage(r, a.cfg.AllowAnonymous) {
			a.cfg.Refusals.Refused(r.Context(), r, trigger.Refusal{Client: trigger.Client(r), Status: http.StatusForbidden, Reason: trigger.ReasonOrigin})
			refuse(http.StatusForbidden, "requests of other origins are refused").write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// authenticated finds out who sent the request.
func (a *API) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := trigger.Anonymous()
		if auth := *a.auth.Load(); auth != nil && !public(r.URL.Path) {
			var err error
			if who, err = auth.Authenticate(r); err != nil {
				answer := unauthorized(err)
				a.cfg.Refusals.Refused(r.Context(), r, trigger.Refusal{Client: trigger.Client(r), Status: answer.Status, Err: err})
				answer.write(w)
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{who, r})))
	})
}

// public reports whether a path tells nothing of what the deployment holds.
func public(path string) bool { return path == pathHealth || path == pathOpenAPI || path == pathSchema }

// bodied refuses bodies that are not JSON as it stands.
func bodied(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/json" || r.Header.Get("Content-Encoding") != "" {
			refuse(http.StatusUnsupportedMediaType, "allowed is Content-Type: application/json without a Content-Encoding").
				with("Accept", "application/json").write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bounded ends the work on a request that takes too long.
func (a *API) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), a.cfg.Timeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
