package executor_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/executor/webhook"
	"github.com/systole-run/systole/store"
)

// allKinds is a Registry of every kind, with functions and a server that misbehave on demand.
func allKinds(t *testing.T) (registry *executor.Registry, url string) {
	t.Helper()
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) })
	functions, err := function.New(function.Config{
		Functions: map[string]function.Func{
			"fine":  func(_ context.Context, run *function.Run) error { run.SetMessage("%s", run.RunID); return nil },
			"panic": func(context.Context, *function.Run) error { panic("boom") },
			"exit":  func(context.Context, *function.Run) error { runtime.Goexit(); return nil },
			"hang":  func(context.Context, *function.Run) error { <-hung; return nil },
		},
		Grace: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	commands, err := subprocess.New(subprocess.Config{TempDir: t.TempDir(), KillGrace: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	requests, err := webhook.New(webhook.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = requests.Close() })
	registry, err = executor.NewRegistry(map[string]executor.FlowExecutor{
		function.Kind: functions, subprocess.Kind: commands, webhook.Kind: requests,
	})
	if err != nil {
		t.Fatal(err)
	}
	return registry, misbehaving(t)
}

func misbehaving(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/fine", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/broken", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see the client go
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// R3.3, R3.4
func TestBadRunsDoNotDisturbAHundredOthersBesideThem(t *testing.T) {
	t.Parallel()
	registry, url := allKinds(t)
	call := func(name string) store.DataFlow { return store.DataFlow{Function: &store.FunctionSpec{Name: name}} }
	shell := func(script string) store.DataFlow {
		return store.DataFlow{Exec: &store.ExecSpec{Command: []string{"sh", "-c", script}}}
	}
	request := func(path string) store.DataFlow { return store.DataFlow{HTTP: &store.HTTPSpec{URL: url + path}} }
	fine := []store.DataFlow{call("fine"), shell("exit 0"), request("/fine")}
	bad := map[string]struct {
		flow   store.DataFlow
		reason string
	}{
		"panic":          {call("panic"), store.ReasonPanic},
		"goexit":         {call("exit"), store.ReasonError},
		"hung function":  {call("hang"), store.ReasonTimeout},
		"unknown":        {call("unknown"), store.ReasonRefused},
		"crash":          {shell("kill -SEGV $$"), store.ReasonError},
		"hung command":   {shell("trap '' TERM; sleep 300"), store.ReasonTimeout},
		"flood":          {shell("exec yes"), store.ReasonTimeout},
		"broken request": {request("/broken"), store.ReasonError},
		"hung request":   {request("/hang"), store.ReasonTimeout},
		"no kind":        {store.DataFlow{}, store.ReasonRefused},
	}
	run := func(name string, flow store.DataFlow, timeout time.Duration) executor.Result {
		flow.Name = "flow"
		ctx, cancel := context.WithTimeoutCause(t.Context(), timeout, executor.ErrTimeout)
		defer cancel()
		return registry.Execute(ctx, executor.Task{Flow: flow.WithDefaults(), RunID: name, Log: executor.NewTail(0)})
	}
	const patience = 2 * time.Minute // it finds what hangs, and measures nothing
	var runs sync.WaitGroup
	for name, c := range bad {
		timeout := patience
		if c.reason == store.ReasonTimeout {
			timeout = time.Second
		}
		runs.Go(func() {
			if result := run(name, c.flow, timeout); result.Reason != c.reason || result.Err == nil {
				t.Errorf("%s: got %+v, want reason %q", name, result, c.reason)
			}
		})
	}
	for i := range 100 {
		runs.Go(func() {
			name := fmt.Sprint("run-", i)
			result := run(name, fine[i%len(fine)], patience)
			if result.Err != nil || !strings.HasPrefix(name, result.Message) {
				t.Errorf("%s: got %+v", name, result)
			}
		})
	}
	runs.Wait()
}
