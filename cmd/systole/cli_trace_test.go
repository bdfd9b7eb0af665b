package main

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is an OTLP endpoint that keeps what it is sent.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	calls int
	spans map[string]string // name -> trace id
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{spans: make(map[string]string)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || request.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
			http.Error(w, "no spans", http.StatusBadRequest)
			return
		}
		r.keep(&export)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) keep(export *collector.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				r.spans[span.GetName()] = hex.EncodeToString(span.GetTraceId())
			}
		}
	}
}

// of gives the trace of a span by the start of its name.
func (r *receiver) of(name string) (trace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for spanned, trace := range r.spans {
		if strings.HasPrefix(spanned, name) {
			return trace
		}
	}
	return ""
}

// One trace goes the whole way: from the client's request through the headers of NATS to the run.
func TestAHeartbeatAndItsRunShareTheTraceOfTheClient(t *testing.T) {
	t.Parallel()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	spans := newReceiver(t)
	dev := startDev(t, []string{"SYSTOLE_TRACING__ENDPOINT=" + spans.URL}, "--flows", folder(t, map[string]string{"good.yaml": goodFlow}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, dev.url+"/heartbeat?wait=1m", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"succeeded":1`) {
		t.Fatalf("answered %d %s", response.StatusCode, body)
	}
	dev.stop() // sends what is left
	if code := <-dev.code; code != exitFine {
		t.Fatalf("exit status %d\n%s", code, dev.log)
	}
	for _, name := range []string{"POST /heartbeat", "run"} {
		if got := spans.of(name); got != trace {
			t.Errorf("span %q is in trace %q, want %s; there are %v", name, got, trace, spans.spans)
		}
	}
}

func TestWithoutAnEndpointNoSpanLeavesTheProcess(t *testing.T) {
	t.Parallel()
	spans := newReceiver(t)
	dev := startDev(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + spans.URL})
	run(t, against(dev), "beat", "--wait", "1m").expect(t, exitFine)
	dev.stop()
	<-dev.code
	if spans.calls != 0 {
		t.Errorf("the endpoint was called %d times", spans.calls)
	}
}

func TestATraceEndpointThatIsAwayHoldsNothingUp(t *testing.T) {
	t.Parallel()
	dev := startDev(t, []string{"SYSTOLE_TRACING__ENDPOINT=http://" + freeAddress(t)}, "--flows", folder(t, map[string]string{"good.yaml": goodFlow}))
	began := time.Now()
	run(t, against(dev), "beat", "--wait", "1m").expect(t, exitFine, `"succeeded":1`)
	dev.stop()
	if code := <-dev.code; code != exitFine || time.Since(began) > patience {
		t.Errorf("exit status %d after %s\n%s", code, time.Since(began), dev.log)
	}
	if !strings.Contains(dev.log.String(), "spans are lost") {
		t.Errorf("the log does not tell that spans are lost:\n%s", dev.log)
	}
}
