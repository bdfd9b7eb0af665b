package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/time/rate"

	"github.com/systole-run/systole/internal/logkey"
)

// TraceConfig says where spans go.
type TraceConfig struct {
	Endpoint string  // URL of an OTLP HTTP receiver, such as http://localhost:4318; empty turns tracing off
	Sample   float64 // share of new traces that are kept, 0 to 1; a trace begun elsewhere keeps its decision
	Service  string  // name of this process in traces
	Version  string
	Logger   *slog.Logger // hears of spans that could not be sent, at most once a minute; nil: nobody does
}

// NewTracerProvider makes the provider of a process, and a function that sends what is left and ends it.
func NewTracerProvider(ctx context.Context, cfg TraceConfig) (trace.TracerProvider, func(context.Context) error, error) {
	if cfg.Endpoint == "" {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(tracesURL(cfg.Endpoint)))
	if err != nil {
		return nil, nil, fmt.Errorf("make trace exporter: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&quietExporter{exporter, cfg.Logger, rate.Sometimes{Interval: time.Minute}}),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Version),
		)),
	)
	return provider, provider.Shutdown, nil
}

// tracesURL adds the path that OTLP over HTTP uses to a base URL.
func tracesURL(endpoint string) string {
	const path = "/v1/traces"
	return strings.TrimSuffix(strings.TrimRight(endpoint, "/"), path) + path
}

// quietExporter tells of spans that are lost, seldom. Without it the SDK hands the error to a handler of the whole
// process, which prints it past all redaction.
type quietExporter struct {
	sdktrace.SpanExporter
	logger    *slog.Logger
	sometimes rate.Sometimes
}

// ExportSpans implements sdktrace.SpanExporter. It does not fail.
func (e *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.sometimes.Do(func() {
			e.logger.Warn("spans are lost: the trace endpoint does not take them", logkey.Count, len(spans), logkey.Error, err)
		})
	}
	return nil
}
