package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
)

func (r *redactor) middleware(next slog.Handler) slog.Handler {
	return redacting{Handler: next, redactor: r}
}

// redacting hands records on without their secrets.
type redacting struct {
	slog.Handler
	redactor *redactor
	hidden   bool // inside a group whose name says that all in it is secret
}

func (h redacting) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, h.redactor.text(record.Message), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		clean.AddAttrs(h.attr(attr))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redacting{h.Handler.WithAttrs(h.attrs(attrs)), h.redactor, h.hidden}
}

func (h redacting) WithGroup(name string) slog.Handler {
	return redacting{h.Handler.WithGroup(h.redactor.text(name)), h.redactor, h.hidden || sensitive(name)}
}

func (h redacting) attrs(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		clean[i] = h.attr(attr)
	}
	return clean
}

func (h redacting) attr(attr slog.Attr) slog.Attr {
	if attr.Equal(slog.Attr{}) {
		return attr // which handlers leave out
	}
	key := h.redactor.text(attr.Key)
	if h.hidden || sensitive(attr.Key) {
		return slog.String(key, redacted)
	}
	return slog.Attr{Key: key, Value: h.value(attr.Value.Resolve())}
}

func (h redacting) value(value slog.Value) slog.Value {
	switch value.Kind() {
	case slog.KindString:
		return slog.StringValue(h.redactor.text(value.String()))
	case slog.KindGroup:
		return slog.GroupValue(h.attrs(value.Group())...)
	case slog.KindAny:
		return h.any(value.Any())
	case slog.KindTime, slog.KindDuration, slog.KindBool:
		return value
	}
	if text := value.String(); h.redactor.text(text) != text {
		return slog.StringValue(redacted) // a secret that is a number
	}
	return value
}

// any turns a value of any type into text or plain data, which can be searched. A logger must not be what brings a
// process down, so a method of the value that panics is only told of.
func (h redacting) any(value any) (clean slog.Value) {
	defer func() {
		if recover() != nil {
			clean = slog.StringValue(fmt.Sprintf("[%T that panics when printed]", value))
		}
	}()
	switch v := value.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error:
		return slog.StringValue(h.redactor.text(v.Error()))
	case fmt.Stringer:
		return slog.StringValue(h.redactor.text(v.String()))
	case []byte:
		return slog.StringValue(h.redactor.text(string(v)))
	}
	plain, err := throughJSON(value)
	if err != nil { // fmt could print it, but would never come back from a map that holds itself
		return slog.StringValue(fmt.Sprintf("[%T that does not encode]", value))
	}
	return slog.AnyValue(h.plain(plain))
}

func throughJSON(value any) (plain any, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err = decoder.Decode(&plain)
	return plain, err
}

// plain searches what JSON can be.
func (h redacting) plain(value any) any {
	switch v := value.(type) {
	case string:
		return h.redactor.text(v)
	case json.Number:
		if h.redactor.text(v.String()) != v.String() {
			return redacted
		}
	case []any:
		for i := range v {
			v[i] = h.plain(v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for key, field := range v {
			if sensitive(key) {
				field = redacted
			}
			clean[h.redactor.text(key)] = h.plain(field)
		}
		return clean
	}
	return value
}
