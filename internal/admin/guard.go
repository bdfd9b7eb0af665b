package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// guard checks a request's parameters against what its operation documents, and then whether its sender may do that.
func (a *API) guard(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	r, w := humago.Unwrap(ctx)
	if wrong := checkParameters(op, r.URL.RawQuery, ctx.Param); len(wrong) > 0 {
		refuse(http.StatusBadRequest, "the parameters are invalid; errors lists every fault", wrong...).write(w)
		return
	}
	if scopes := scopesOf(op); len(scopes) > 0 && takesGroup(op) {
		group := ctx.Query("group")
		if group == "" {
			group = store.DefaultGroup
		}
		if err := a.permit(ctx.Context(), group, scopes...); err != nil {
			err.write(w)
			return
		}
	}
	next(ctx)
}

// permit is authorize for requests that are refused as a whole, which is noted.
func (a *API) permit(ctx context.Context, group string, scopes ...string) *refusal {
	refused := authorize(ctx, group, scopes...)
	if from, ok := ctx.Value(callerKey{}).(caller); ok && refused != nil {
		a.cfg.Refusals.Refused(ctx, from.request, trigger.Refusal{
			Client: trigger.Client(from.request), Principal: from.who.Name, Group: group, Status: refused.Status, Err: trigger.ErrForbidden,
		})
	}
	return refused
}

// metaScopes is where an operation says which scopes let one call it; any one of them does.
const metaScopes = "scopes"

func scopesOf(op *huma.Operation) []string {
	scopes, _ := op.Metadata[metaScopes].([]string)
	return scopes
}

// takesGroup reports whether the query alone settles the group, which its default shows. Where the body has a say, the
// handler asks authorize.
func takesGroup(op *huma.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool {
		return p.In == "query" && p.Name == "group" && p.Schema.Default != nil
	})
}

// authorize refuses a sender that has none of the scopes in the group.
func authorize(ctx context.Context, group string, scopes ...string) *refusal {
	who := principal(ctx)
	if slices.ContainsFunc(scopes, func(scope string) bool { return who.Allowed(scope, group) }) {
		return nil
	}
	return forbidden(scopes[0], group)
}

// mayRead is authorize for listings over groups, which leave out what one may not read.
func mayRead(ctx context.Context, group string) bool {
	return principal(ctx).Allowed(trigger.ScopeRead, group)
}

// checkParameters lists everything that is wrong with the query and the path.
func checkParameters(op *huma.Operation, rawQuery string, pathValue func(string) string) []store.FieldError {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return []store.FieldError{{Field: "query", Found: quote(rawQuery), Allowed: "name=value pairs, percent-encoded"}}
	}
	var wrong []store.FieldError
	var known []string
	for _, param := range op.Parameters {
		switch param.In {
		case "path":
			wrong = append(wrong, checkValue(param, pathValue(param.Name))...)
		case "query":
			known = append(known, param.Name)
			wrong = append(wrong, checkQuery(param, query[param.Name])...)
		}
	}
	return append(wrong, unknown(query, known)...)
}

func checkQuery(param *huma.Param, values []string) []store.FieldError {
	switch {
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return []store.FieldError{{Field: param.Name, Found: fmt.Sprintf("%d values", len(values)), Allowed: "one"}}
	}
	return checkValue(param, values[0])
}

// checkValue holds one value against the schema of its parameter.
func checkValue(param *huma.Param, value string) []store.FieldError {
	ok, schema := true, param.Schema
	switch {
	case schema.Type == "integer":
		number, err := strconv.Atoi(value)
		ok = err == nil && float64(number) >= *schema.Minimum && float64(number) <= *schema.Maximum
	case len(schema.Enum) > 0:
		ok = slices.Contains(schema.Enum, any(value))
	case schema.Format == "date-time":
		_, err := time.Parse(time.RFC3339, value)
		ok = err == nil
	case schema.Pattern != "":
		ok = store.ValidName(value) // the pattern of every parameter that has one
	case schema.MaxLength != nil:
		ok = len(value) <= *schema.MaxLength
	}
	if ok {
		return nil
	}
	return []store.FieldError{{Field: param.Name, Found: quote(value), Allowed: schema.Description}}
}

func unknown(query url.Values, known []string) []store.FieldError {
	var wrong []store.FieldError
	allowed := "no parameters"
	if len(known) > 0 {
		allowed = strings.Join(known, ", ")
	}
	for name := range query {
		if !slices.Contains(known, name) {
			wrong = append(wrong, store.FieldError{Field: clip(name), Found: "an unknown parameter", Allowed: allowed})
		}
	}
	slices.SortFunc(wrong, func(a, b store.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return wrong
}

func quote(value string) string { return strconv.Quote(clip(value)) }

// clip bounds how much of what came from outside is told back.
func clip(value string) string {
	const longest = 80
	if len(value) > longest {
		return strings.ToValidUTF8(value[:longest], "") + "…"
	}
	return strings.ToValidUTF8(value, "\uFFFD")
}
