package worker

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// mostOrigins bounds how many beats and run-nows have their trace context remembered.
const mostOrigins = 1024

// origins remember the trace context that a beat or run-now came with, so that its runs join that trace. The oldest are
// forgotten first: a run whose origin is forgotten starts a trace of its own.
type origins struct {
	mu    sync.Mutex
	known map[string]string
	order []string
}

func newOrigins() *origins { return &origins{known: make(map[string]string)} }

func (o *origins) add(id, traceParent string) {
	if traceParent == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.known[id]; ok {
		return
	}
	o.known[id] = traceParent
	o.order = append(o.order, id)
	if len(o.order) > mostOrigins {
		delete(o.known, o.order[0])
		o.order = o.order[1:]
	}
}

// context is ctx within the trace of the beat or run-now.
func (o *origins) context(ctx context.Context, id string) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": o.known[id]})
}

// traceParent is the W3C traceparent of a span, or "" where nothing is traced.
func traceParent(span trace.Span) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), span), carrier)
	return carrier["traceparent"]
}
