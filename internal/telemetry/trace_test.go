package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/systole-run/systole/internal/telemetry"
)

// receiver is an OTLP HTTP endpoint that keeps what it gets.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
	names []string          // of spans
	about map[string]string // of the process
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{about: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var export collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &export) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths = append(r.paths, request.URL.Path)
	for _, resource := range export.GetResourceSpans() {
		for _, attribute := range resource.GetResource().GetAttributes() {
			r.about[attribute.GetKey()] = attribute.GetValue().GetStringValue()
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				r.names = append(r.names, span.GetName())
			}
		}
	}
}

func TestSpansReachTheEndpointWhenTheProcessEnds(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/", "/v1/traces"} {
		r := newReceiver(t)
		provider, end, err := telemetry.NewTracerProvider(t.Context(), telemetry.TraceConfig{Endpoint: r.URL + path, Sample: 1, Service: "systole-worker", Version: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		_, span := provider.Tracer("test").Start(t.Context(), "run")
		span.End()
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(r.names) != 1 || r.names[0] != "run" || r.paths[0] != "/v1/traces" || r.about["service.name"] != "systole-worker" || r.about["service.version"] != "v1" {
			t.Errorf("endpoint %q got spans %v at %v about %v", path, r.names, r.paths, r.about)
		}
	}
}

func TestASampleOfZeroKeepsOnlyTracesThatACallerKeeps(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	provider, end, err := telemetry.NewTracerProvider(t.Context(), telemetry.TraceConfig{Endpoint: r.URL, Sample: 0})
	if err != nil {
		t.Fatal(err)
	}
	caller := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
	_, dropped := provider.Tracer("test").Start(t.Context(), "dropped")
	dropped.End()
	_, kept := provider.Tracer("test").Start(trace.ContextWithSpanContext(t.Context(), caller), "kept")
	kept.End()
	if err := end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Join(r.names, " ") != "kept" {
		t.Errorf("spans are %v, want the kept one", r.names)
	}
}

func TestWithoutAnEndpointThereAreNoSpans(t *testing.T) {
	t.Parallel()
	provider, end, err := telemetry.NewTracerProvider(t.Context(), telemetry.TraceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, span := provider.Tracer("test").Start(t.Context(), "run"); span.IsRecording() {
		t.Error("the span is recorded")
	}
	if err := end(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnEndpointThatRefusesCostsOneLogLineAndNoError(t *testing.T) {
	t.Parallel()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer refuses.Close()
	var out bytes.Buffer
	provider, end, err := telemetry.NewTracerProvider(t.Context(), telemetry.TraceConfig{Endpoint: refuses.URL, Sample: 1, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	flush := provider.(interface{ ForceFlush(context.Context) error })
	for range 3 {
		_, span := provider.Tracer("test").Start(t.Context(), "run")
		span.End()
		if err := flush.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := end(t.Context()); err != nil {
		t.Error(err)
	}
	if lines := strings.Count(out.String(), "spans are lost"); lines != 1 {
		t.Errorf("there are %d lines about it:\n%s", lines, out.String())
	}
}
