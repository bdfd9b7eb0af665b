package trigger

import (
	"context"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/propagation"
)

// traceParentPattern is version 00 of W3C Trace Context, the only one there is; others are ignored, as it demands.
var traceParentPattern = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// TraceParent gives the W3C traceparent of the span in ctx, empty if there is none.
func TraceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get(headerTrace)
}

// WithTraceParent gives a ctx whose spans continue the trace that traceparent names. One that is empty or malformed
// changes nothing.
func WithTraceParent(ctx context.Context, traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{headerTrace: traceparent})
}

// validTraceParent gives s, or nothing if it is no traceparent.
func validTraceParent(s string) string {
	if !traceParentPattern.MatchString(s) || strings.Trim(s[3:35], "0") == "" || strings.Trim(s[36:52], "0") == "" {
		return ""
	}
	return s
}
