package trigger

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/systole-run/systole/internal/logkey"
)

// startSpan opens the server span of a request, as a child of the client's if it sent a traceparent.
func (g *Gateway) startSpan(r *http.Request, route route) (context.Context, trace.Span) {
	method := methodClass(r.Method)
	if method == "other" {
		method = "HTTP" // what OpenTelemetry calls spans of unknown methods; theirs would be the client's words
	}
	name := method
	attributes := []attribute.KeyValue{attribute.String("http.request.method", method)}
	if route.pattern != "" {
		name += " " + route.pattern
		attributes = append(attributes, attribute.String("http.route", route.pattern))
	}
	ctx := WithTraceParent(r.Context(), r.Header.Get(headerTrace))
	return g.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
}

func endSpan(span trace.Span, status int) {
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
}

// log writes one line per request. Headers and the query stay out of it: they may hold credentials.
func (g *Gateway) log(ctx context.Context, r *http.Request, c *call, status int, took time.Duration, err error) {
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attributes := []slog.Attr{
		slog.String(logkey.Route, c.route.name), slog.String(logkey.Method, methodClass(r.Method)), slog.Int(logkey.Status, status),
		slog.String(logkey.Client, c.client.String()), slog.String(logkey.Principal, c.principal.Name), slog.Int64(logkey.DurationMS, took.Milliseconds()),
	}
	if c.principal.Kind != "" {
		attributes = append(attributes, slog.String(logkey.Credential, c.principal.Kind))
	}
	attributes = append(attributes, c.notes...)
	message := "request answered"
	if err != nil {
		message = "request refused"
		if _, turnedAway := refusalOf(err); turnedAway {
			g.refused.Refused(ctx, r, Refusal{Client: c.client, Principal: c.principal.Name, Group: c.group, Status: status, Err: err})
			level = slog.LevelDebug // that line tells it, and must not be one of many
		}
		attributes = append(attributes, slog.Any(logkey.Error, logged(err)))
	}
	g.cfg.Logger.LogAttrs(ctx, level, message, attributes...)
}

// logged leaves out of an error what the client wrote.
func logged(err error) error {
	if invalid := (InvalidError{}); errors.As(err, &invalid) {
		return errors.New("the request is invalid")
	}
	return err
}

// answerWriter remembers the status of an answer.
type answerWriter struct {
	http.ResponseWriter
	status int
}

func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
