package telemetry

import (
	"context"
	"encoding"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"

	slogmulti "github.com/samber/slog-multi"
)

// redacted stands where a secret would.
const redacted = "[redacted]"

// shortestSecret is the length below which a secret is not searched for in texts: it would blank out ordinary words. Its
// own attribute is redacted all the same, by its key.
const shortestSecret = 6

// secretKey matches the keys of attributes whose value is never shown.
var secretKey = regexp.MustCompile(`(?i)(^|[._-])(authorization|x-heartbeat-token|cookie|set-cookie|password|passwd|secret|api[_-]?key|private[_-]?key|bearer|token)$`)

// shownKeys look like secretKey and are not secret: a run's fencing token is a number that everyone may know.
var shownKeys = map[string]bool{"fencing_token": true}

// The shapes of credentials in running text.
var (
	bearerText = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}`)
	userInURL  = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@"']+@`)
)

// redactor keeps secrets out of log lines: known texts, credentials by their shape, and values by their key.
type redactor struct {
	known atomic.Pointer[strings.Replacer]
}

func newRedactor(secrets []string) *redactor {
	r := &redactor{}
	r.set(secrets)
	return r
}

func (r *redactor) set(secrets []string) {
	var pairs []string
	for _, secret := range secrets {
		if len(secret) >= shortestSecret {
			pairs = append(pairs, secret, redacted)
		}
	}
	r.known.Store(strings.NewReplacer(pairs...))
}

func (r *redactor) middleware() slogmulti.Middleware {
	return func(next slog.Handler) slog.Handler { return redacting{Handler: next, redactor: r} }
}

func (r *redactor) text(text string) string {
	text = r.known.Load().Replace(text)
	text = bearerText.ReplaceAllString(text, "$1 "+redacted)
	return userInURL.ReplaceAllString(text, "$1"+redacted+"@")
}

func (r *redactor) attr(attr slog.Attr) slog.Attr {
	if secretKey.MatchString(attr.Key) && !shownKeys[attr.Key] {
		return slog.String(attr.Key, redacted)
	}
	attr.Key = r.text(attr.Key)
	attr.Value = r.value(attr.Value.Resolve())
	return attr
}

func (r *redactor) attrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		clean[i] = r.attr(attr)
	}
	return clean
}

func (r *redactor) value(value slog.Value) slog.Value {
	switch value.Kind() {
	case slog.KindString:
		return slog.StringValue(r.text(value.String()))
	case slog.KindGroup:
		return slog.GroupValue(r.attrs(value.Group())...)
	case slog.KindAny:
		return r.any(value.Any())
	}
	return value
}

// any turns what a handler would print in ways of its own into text, which can be searched.
func (r *redactor) any(value any) slog.Value {
	switch v := value.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error:
		return slog.StringValue(r.text(v.Error()))
	case encoding.TextMarshaler:
		if text, err := v.MarshalText(); err == nil {
			return slog.StringValue(r.text(string(text)))
		}
	case fmt.Stringer:
		if rv := reflect.ValueOf(v); rv.Kind() != reflect.Pointer || !rv.IsNil() {
			return slog.StringValue(r.text(v.String()))
		}
	}
	return slog.StringValue(r.text(fmt.Sprintf("%+v", value)))
}

// redacting is the middleware of a redactor.
type redacting struct {
	slog.Handler
	redactor *redactor
}

func (h redacting) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, h.redactor.text(record.Message), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		clean.AddAttrs(h.redactor.attr(attr))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redacting{Handler: h.Handler.WithAttrs(h.redactor.attrs(attrs)), redactor: h.redactor}
}

func (h redacting) WithGroup(name string) slog.Handler {
	return redacting{Handler: h.Handler.WithGroup(name), redactor: h.redactor}
}
