package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/systole-run/systole/internal/telemetry"
)

func get(t *testing.T, handler http.Handler, method, path string) (*http.Response, string) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestReadinessNamesEachCheckAndTellsNoReasons(t *testing.T) {
	t.Parallel()
	good := telemetry.Check{Name: "nats", Do: func(context.Context) error { return nil }}
	bad := telemetry.Check{Name: "redis", Do: func(context.Context) error { return errors.New("dial 10.0.0.1: swordfish") }}
	for _, test := range []struct {
		checks []telemetry.Check
		status int
		want   string
	}{
		{nil, 200, `{"checks":{},"status":"ready"}`},
		{[]telemetry.Check{good}, 200, `{"checks":{"nats":"ok"},"status":"ready"}`},
		{[]telemetry.Check{bad, good}, 503, `{"checks":{"nats":"ok","redis":"failed"},"status":"not ready"}`},
	} {
		response, body := get(t, telemetry.Handler(telemetry.NewRegistry("v1"), test.checks...), "GET", "/readyz")
		if response.StatusCode != test.status || strings.TrimSpace(body) != test.want {
			t.Errorf("answer is %d %s, want %d %s", response.StatusCode, body, test.status, test.want)
		}
		if response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers are %v", response.Header)
		}
	}
}

func TestACheckThatHangsFailsAloneAndHoldsUpNoAnswer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	hangs := telemetry.Check{Name: "deaf", Do: func(context.Context) error { <-release; return nil }}
	good := telemetry.Check{Name: "good", Do: func(ctx context.Context) error { return ctx.Err() }}
	response, body := get(t, telemetry.Handler(telemetry.NewRegistry("v1"), hangs, good), "GET", "/readyz")
	var answer struct{ Checks map[string]string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 503 || answer.Checks["deaf"] != "failed" || answer.Checks["good"] != "ok" {
		t.Errorf("answer is %d %s", response.StatusCode, body)
	}
}

func TestAProcessThatIsNotReadyStillLives(t *testing.T) {
	t.Parallel()
	bad := telemetry.Check{Name: "redis", Do: func(context.Context) error { return errors.New("away") }}
	handler := telemetry.Handler(telemetry.NewRegistry("v1"), bad)
	if response, body := get(t, handler, "GET", "/healthz"); response.StatusCode != 200 || strings.TrimSpace(body) != `{"status":"ok"}` {
		t.Errorf("answer is %d %s", response.StatusCode, body)
	}
	if response, _ := get(t, handler, "HEAD", "/healthz"); response.StatusCode != 200 {
		t.Errorf("HEAD is answered %d", response.StatusCode)
	}
	if response, _ := get(t, handler, "POST", "/healthz"); response.StatusCode != 405 {
		t.Errorf("POST is answered %d", response.StatusCode)
	}
}

func TestMetricsTellWhatTheChecksSay(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	redis := telemetry.Check{Name: "redis", Do: func(context.Context) error {
		if away.Load() {
			return errors.New("away")
		}
		return nil
	}}
	nats := telemetry.Check{Name: "nats", Do: func(context.Context) error { return nil }}
	handler := telemetry.Handler(telemetry.NewRegistry("v1"), nats, redis)
	for _, up := range []string{"1", "0", "1"} {
		away.Store(up == "0")
		_, body := get(t, handler, "GET", "/metrics")
		for _, want := range []string{`systole_check_up{check="nats"} 1`, `systole_check_up{check="redis"} ` + up} {
			if !strings.Contains(body, want+"\n") {
				t.Errorf("metrics are without %s", want)
			}
		}
	}
}

func TestMetricsTellTheVersionTheRuntimeAndScriptTimes(t *testing.T) {
	t.Parallel()
	registry := telemetry.NewRegistry("v1.2.3")
	observe := telemetry.ScriptTimes(registry)
	observe("claim", 1, nil)
	observe("claim", 1, errors.New("away"))
	_, body := get(t, telemetry.Handler(registry), "GET", "/metrics")
	for _, want := range []string{
		`systole_build_info{version="v1.2.3"} 1`, "go_goroutines", "process_cpu_seconds_total",
		`systole_store_script_seconds_count{outcome="ok",script="claim"} 1`, `systole_store_script_seconds_count{outcome="error",script="claim"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics are without %s", want)
		}
	}
}
