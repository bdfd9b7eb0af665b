package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/webhook"
	"github.com/systole-run/systole/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long something may take on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

var now = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// fixture is an Executor, a Task of the kind `http` for a server of the test's own, and the run's log.
type fixture struct {
	*webhook.Executor
	server *httptest.Server
	task   executor.Task
	log    *executor.Tail
}

func newFixture(t *testing.T, handler http.HandlerFunc) *fixture {
	t.Helper()
	return newFixtureOf(t, webhook.Config{}, handler)
}

// loopback are the networks that the tests' own servers are in.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// newFixtureOf has settings of its own. It may call this machine, unless they allow another network.
func newFixtureOf(t *testing.T, cfg webhook.Config, handler http.HandlerFunc) *fixture {
	t.Helper()
	if cfg.Now = func() time.Time { return now }; cfg.Allow == nil {
		cfg.Allow = loopback
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	e, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Executor: e, server: httptest.NewServer(handler), log: executor.NewTail(0)}
	t.Cleanup(f.server.Close)
	t.Cleanup(func() { _ = e.Close() })
	flow := store.DataFlow{Name: "orders", HTTP: &store.HTTPSpec{URL: f.server.URL + "/sync?key=secret"}}
	f.task = executor.Task{
		Flow: flow.WithDefaults(), RunID: "orders~1", OccurrenceID: "orders~0", Attempt: 2, Token: "1700000000000000", Worker: "w1",
		Log: f.log,
	}
	return f
}

// run executes the task; no secret may show.
func (f *fixture) run(t *testing.T) (result executor.Result, log string) {
	t.Helper()
	result = f.Execute(t.Context(), f.task)
	log = string(f.log.Snapshot())
	if strings.Contains(log, "secret") || strings.Contains(fmt.Sprint(result.Err), "secret") {
		t.Errorf("the URL's query shows: error %v, log %q", result.Err, log)
	}
	return result, log
}

// R3.3
func TestRequestCarriesTheRunAsJSON(t *testing.T) {
	t.Parallel()
	var got map[string]any
	var header http.Header
	var method, uri string
	f := newFixture(t, func(_ http.ResponseWriter, r *http.Request) {
		method, uri, header = r.Method, r.RequestURI, r.Header
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Errorf("read body: %v", err)
		}
	})
	f.task.Flow.HTTP.Headers = map[string]string{"X-Team": "warehouse"}
	f.task.Slot, f.task.Deadline = now, now.Add(5*time.Minute).In(time.FixedZone("CET", 3600))
	f.task.Params, f.task.Cursor = []byte(`{"since":"monday"}`), "41"
	f.task.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if result, _ := f.run(t); result.Err != nil {
		t.Fatal(result.Err)
	}
	want := map[string]any{
		"flow": "orders", "group": "default", "run_id": "orders~1", "occurrence_id": "orders~0", "slot": "2026-11-02T12:00:00Z",
		"attempt": 2.0, "token": "1700000000000000", "params": map[string]any{"since": "monday"}, "cursor": "41",
		"deadline": "2026-11-02T12:05:00Z", "worker": "w1",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) { // fmt prints maps in order
		t.Errorf("body\n got %v\nwant %v", got, want)
	}
	if method != "POST" || uri != "/sync?key=secret" {
		t.Errorf("request %s %s", method, uri)
	}
	for name, want := range map[string]string{
		"webhook-id": "orders~0", "webhook-timestamp": fmt.Sprint(now.Unix()), "traceparent": f.task.TraceParent,
		"Content-Type": "application/json", "X-Team": "warehouse", "User-Agent": "systole",
	} {
		if header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, header.Get(name), want)
		}
	}
}

func TestRequestOfARunNowHasNeitherSlotNorParams(t *testing.T) {
	t.Parallel()
	var body string
	f := newFixture(t, func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body = string(text)
	})
	if result, _ := f.run(t); result.Err != nil {
		t.Fatal(result.Err)
	}
	for _, want := range []string{`"slot":null`, `"params":null`, `"cursor":""`} {
		if !strings.Contains(body, want) {
			t.Errorf("body %s lacks %s", body, want)
		}
	}
}

func TestGetRequestHasHeadersAndNoBody(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(_ http.ResponseWriter, r *http.Request) {
		if text, _ := io.ReadAll(r.Body); len(text) > 0 || r.ContentLength != 0 || r.Header.Get("Content-Type") != "" {
			t.Errorf("body %q, length %d", text, r.ContentLength)
		}
		if r.Method != "GET" || r.Header.Get("webhook-id") != "orders~0" {
			t.Errorf("%s, id %q", r.Method, r.Header.Get("webhook-id"))
		}
	})
	f.task.Flow.HTTP.Method = "GET"
	if result, _ := f.run(t); result.Err != nil {
		t.Fatal(result.Err)
	}
}

func TestStatusDecidesTheResult(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]struct{ ok, permanent bool }{
		200: {ok: true}, 202: {ok: true}, 204: {ok: true},
		301: {permanent: true}, 304: {permanent: true},
		400: {permanent: true}, 401: {permanent: true}, 404: {permanent: true}, 408: {permanent: true}, 418: {permanent: true},
		429: {}, 500: {}, 502: {}, 503: {}, 599: {},
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(code)
				if code != 204 && code != 304 {
					fmt.Fprint(w, "the reason\n")
				}
			})
			result, _ := f.run(t)
			if (result.Err == nil) != want.ok || result.Permanent != want.permanent {
				t.Fatalf("got %+v", result)
			}
			if result.Err == nil {
				return
			}
			text := result.Err.Error()
			if result.Reason != store.ReasonError || !strings.HasPrefix(text, fmt.Sprintf("answered %d", code)) {
				t.Errorf("got %+v", result)
			}
			if code != 304 && !strings.HasSuffix(text, ": the reason") {
				t.Errorf("error does not show the body: %q", text)
			}
		})
	}
}

func TestRedirectIsRefusedNamingWhereItLeads(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for _, code := range []int{301, 302, 303, 307, 308} {
		f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(elsewhere.URL, "://", "://user:secret@", 1)+"/login?token=secret", code)
		})
		f.task.Log = nil // the page of http.Redirect shows the whole address
		result, _ := f.run(t)
		if !result.Permanent || !strings.Contains(result.Err.Error(), "a redirect to "+elsewhere.URL+"/login, which is not followed") {
			t.Errorf("%d: got %+v", code, result)
		}
	}
}

func TestNoProxyIsTakenFromTheEnvironment(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("NO_PROXY", "")
	f := newFixture(t, func(http.ResponseWriter, *http.Request) {})
	f.task.Flow.HTTP.URL = "http://flows.invalid/sync" // a loopback address would never go through a proxy
	result, _ := f.run(t)
	if result.Reason != store.ReasonError || result.Permanent {
		t.Errorf("got %+v", result)
	}
}

func TestConnectionThatBreaksIsAFailureThatMayBeRetried(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"before the answer":  "",
		"inside the headers": "HTTP/1.1 200 OK\r\nContent-",
		"inside the body":    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"cursor\":",
		"no HTTP at all":     "SSH-2.0-OpenSSH_9.2\r\n",
		"endless headers":    "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 100),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Errorf("hijack: %v", err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, answer)
			})
			if result, _ := f.run(t); result.Err == nil || result.Reason != store.ReasonError || result.Permanent {
				t.Errorf("got %+v", result)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, nil)
		f.server.Close()
		result, _ := f.run(t)
		if result.Err == nil || result.Permanent || !strings.Contains(result.Err.Error(), "POST "+f.server.URL+"/sync: dial") {
			t.Errorf("got %+v", result)
		}
	})
}

// endless answers slowly and without end, until the client goes away.
func endless(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		fmt.Fprint(w, " ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestSlowAnswerIsBoundedByTheContext(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{"drop by drop": endless, "never": silent} {
		for reason, cause := range map[string]error{
			store.ReasonTimeout: executor.ErrTimeout, store.ReasonLeaseLost: executor.ErrLeaseLost, store.ReasonHandedBack: executor.ErrDraining,
		} {
			t.Run(name+" "+reason, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, cause)
				defer cancel()
				f := newFixture(t, handler)
				start := time.Now()
				result := f.Execute(ctx, f.task)
				if took := time.Since(start); took > patience {
					t.Errorf("took %s", took)
				}
				if result.Reason != reason || !errors.Is(result.Err, cause) || !strings.Contains(result.Err.Error(), "no whole answer from POST "+f.server.URL+"/sync") {
					t.Errorf("got %+v", result)
				}
			})
		}
	}
}

func TestConnectingIsBoundedByTheContext(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never starts TLS
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f := newFixture(t, nil)
	f.task.Flow.HTTP.URL = "https://" + listener.Addr().String()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, executor.ErrTimeout)
	defer cancel()
	if result := f.Execute(ctx, f.task); result.Reason != store.ReasonTimeout {
		t.Errorf("got %+v", result)
	}
}

func TestNewNamesTheFieldAtFault(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]webhook.Config{"ConnectTimeout": {ConnectTimeout: -1}, "MaxConnsPerHost": {MaxConnsPerHost: -1}, "Burst": {Burst: -1}, "BreakerPause": {BreakerPause: -1}} {
		if _, err := webhook.New(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got error %v", field, err)
		}
	}
}

func TestFlowWithoutARequestIsRefusedForGood(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	for name, spec := range map[string]*store.HTTPSpec{"no request": nil, "no URL": {URL: "http://[::1?key=secret", Method: "POST"}} {
		f.task.Flow.HTTP = spec
		if result, _ := f.run(t); result.Reason != store.ReasonRefused || !result.Permanent {
			t.Errorf("%s: got %+v", name, result)
		}
	}
}
