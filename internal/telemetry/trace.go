package telemetry

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// TraceConfig says where spans go.
type TraceConfig struct {
	Endpoint string  // URL of an OTLP HTTP receiver, such as http://localhost:4318; empty turns tracing off
	Sample   float64 // share of new traces that are kept, 0 to 1; a trace begun elsewhere keeps its decision
	Service  string  // name of this process in traces
	Version  string
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
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
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
