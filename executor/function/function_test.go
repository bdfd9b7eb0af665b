package function_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

func TestMain(m *testing.M) {
	supervisor.Main(function.Role(misbehaving()))
	goleak.VerifyTestMain(m)
}

// newExecutor gives an Executor that knows call as "sync", and logs nowhere.
func newExecutor(t *testing.T, call function.Func) *function.Executor {
	t.Helper()
	e, err := function.New(function.Config{
		Functions: map[string]function.Func{"sync": call},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// task asks for the function name.
func task(name string) (executor.Task, *executor.Tail) {
	tail := executor.NewTail(0)
	flow := store.DataFlow{Name: "orders", Function: &store.FunctionSpec{Name: name}}
	return executor.Task{Flow: flow.WithDefaults(), RunID: "orders~1", Attempt: 1, Log: tail}, tail
}

// R3.3
func TestFunctionGetsItsTaskAndLeavesCursorMessageAndLog(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, func(_ context.Context, run *function.Run) error {
		var params struct{ Since string }
		if err := run.Bind(&params); err != nil {
			return err
		}
		run.Printf("from %s since %s", run.Cursor, params.Since)
		run.Logger().Info("stored", "rows", 3)
		run.SetCursor(run.Cursor + "0")
		run.SetMessage("%d rows", 3)
		return nil
	})
	task, tail := task("sync")
	task.Cursor, task.Params = "4", []byte(`{"since":"monday"}`)
	result := e.Execute(t.Context(), task)
	if result.Err != nil || result.Cursor == nil || *result.Cursor != "40" || result.Message != "3 rows" {
		t.Errorf("got %+v", result)
	}
	log := string(tail.Snapshot())
	if !strings.HasPrefix(log, "from 4 since monday\n") || !strings.Contains(log, "msg=stored rows=3") {
		t.Errorf("log is %q", log)
	}
}

func TestFunctionFailsWithWhatItReturns(t *testing.T) {
	t.Parallel()
	cause := errors.New("no such table")
	for _, c := range []struct {
		name      string
		params    string
		err       error
		permanent bool
		want      string
	}{
		{"an error", "", cause, false, "no such table"},
		{"a permanent error", "", executor.Permanent(cause), true, "no such table"},
		{"params with an unknown field", `{"sinse":1}`, nil, true, `read params: json: unknown field "sinse"`},
		{"params of a wrong type", `{"since":[]}`, nil, true, "read params: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newExecutor(t, func(_ context.Context, run *function.Run) error {
				run.SetCursor("lost")
				var params struct{ Since string }
				return errors.Join(c.err, run.Bind(&params))
			})
			task, _ := task("sync")
			task.Params = []byte(c.params)
			result := e.Execute(t.Context(), task)
			if result.Reason != store.ReasonError || result.Permanent != c.permanent || result.Cursor != nil {
				t.Errorf("got %+v", result)
			}
			if !strings.HasPrefix(result.Err.Error(), c.want) {
				t.Errorf("error is %q, want %q", result.Err, c.want)
			}
		})
	}
}

// R3.4
func TestFunctionThatPanicsFailsWithItsStackInTheLog(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, func(context.Context, *function.Run) error {
		var rows map[string]int
		rows["a"] = 1
		return nil
	})
	task, tail := task("sync")
	result := e.Execute(t.Context(), task)
	var panicked *executor.PanicError
	if result.Reason != store.ReasonPanic || !errors.As(result.Err, &panicked) {
		t.Fatalf("got %+v", result)
	}
	if text := result.Err.Error(); !strings.Contains(text, "assignment to entry in nil map") || !strings.Contains(text, "function_test.go:") {
		t.Errorf("error is %q", text)
	}
	if log := string(tail.Snapshot()); !strings.Contains(log, "goroutine ") || !strings.Contains(log, "function_test.go:") {
		t.Errorf("log has no stack: %q", log)
	}
}

func TestFunctionThatEndsItsGoroutineFails(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, func(context.Context, *function.Run) error {
		runtime.Goexit()
		return nil
	})
	task, _ := task("sync")
	result := e.Execute(t.Context(), task)
	if result.Reason != store.ReasonError || !strings.Contains(fmt.Sprint(result.Err), "runtime.Goexit") {
		t.Errorf("got %+v", result)
	}
}

func TestUnknownFunctionIsRefusedForGoodWithTheKnownOnesNamed(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, func(context.Context, *function.Run) error { return nil })
	if err := e.Register("export", func(context.Context, *function.Run) error { return nil }); err != nil {
		t.Fatal(err)
	}
	task, _ := task("snyc")
	result := e.Execute(t.Context(), task)
	if result.Reason != store.ReasonRefused || !result.Permanent {
		t.Errorf("got %+v", result)
	}
	if want := `start function: found "snyc", this worker knows export, sync`; result.Err.Error() != want {
		t.Errorf("error is %q, want %q", result.Err, want)
	}
}

func TestFunctionStoppedByItsContextIsInterruptedWhateverItReturns(t *testing.T) {
	t.Parallel()
	for name, returned := range map[string]error{"nil": nil, "the context's error": context.Canceled, "its own": errors.New("rolled back")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newExecutor(t, func(ctx context.Context, run *function.Run) error {
				<-ctx.Done()
				run.SetCursor("lost")
				return returned
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(executor.ErrLeaseLost)
			task, _ := task("sync")
			result := e.Execute(ctx, task)
			if result.Reason != store.ReasonLeaseLost || !errors.Is(result.Err, executor.ErrLeaseLost) || result.Cursor != nil {
				t.Errorf("got %+v", result)
			}
			if e.Abandoned() != 0 {
				t.Errorf("abandoned = %d", e.Abandoned())
			}
		})
	}
}

// R3.4. In a bubble of synctest, time passes only when all goroutines wait, and the bubble ends only when they have ended.
func TestFunctionThatIgnoresItsContextIsAbandonedAfterTheGraceAndCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		registry := prometheus.NewPedanticRegistry()
		release := make(chan struct{})
		e, err := function.New(function.Config{
			Functions: map[string]function.Func{"sync": func(_ context.Context, run *function.Run) error {
				<-release
				run.Printf("late output")
				run.SetCursor("late")
				return errors.New("late")
			}},
			Logger:     slog.New(slog.NewTextHandler(&logged, nil)),
			Registerer: registry,
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ctx, cancel := context.WithDeadlineCause(t.Context(), start.Add(time.Minute), executor.ErrTimeout)
		defer cancel()
		task, tail := task("sync")
		result := e.Execute(ctx, task)
		if took := time.Since(start); took != time.Minute+function.DefaultGrace {
			t.Errorf("took %s", took)
		}
		if result.Reason != store.ReasonTimeout || result.Cursor != nil || !strings.Contains(result.Err.Error(), "abandoned") {
			t.Errorf("got %+v", result)
		}
		if e.Abandoned() != 1 || metric(t, registry) != 1 {
			t.Errorf("abandoned = %d, metric %v", e.Abandoned(), metric(t, registry))
		}
		if !strings.Contains(logged.String(), "run_id=orders~1") || !strings.Contains(string(tail.Snapshot()), "abandoned") {
			t.Errorf("logged %q, run's log %q", logged.String(), tail.Snapshot())
		}
		close(release)
		synctest.Wait()
		if e.Abandoned() != 0 || metric(t, registry) != 0 {
			t.Errorf("abandoned = %d after its end", e.Abandoned())
		}
		if !strings.Contains(logged.String(), "has ended") {
			t.Errorf("logged %q", logged.String())
		}
	})
}

func TestFunctionWithTooManyAbandonedCallsIsRefusedUntilTheyEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e, err := function.New(function.Config{
			Functions: map[string]function.Func{
				"sync":   func(context.Context, *function.Run) error { <-release; return nil },
				"export": func(context.Context, *function.Run) error { return nil },
			},
			MaxAbandoned: 2,
			Logger:       slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		hung, _ := task("sync")
		for range 2 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, executor.ErrTimeout)
			e.Execute(ctx, hung)
			cancel()
		}
		if result := e.Execute(t.Context(), hung); result.Reason != store.ReasonRefused || result.Permanent {
			t.Errorf("third call: got %+v", result)
		}
		other, _ := task("export")
		if result := e.Execute(t.Context(), other); result.Err != nil {
			t.Errorf("another function: got %+v", result)
		}
		close(release)
		synctest.Wait()
		if result := e.Execute(t.Context(), hung); result.Err != nil {
			t.Errorf("after their end: got %+v", result)
		}
	})
}

func TestNewAndRegisterNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *function.Run) error { return nil }
	for want, cfg := range map[string]function.Config{
		"Grace":                    {Grace: -1},
		"MaxAbandoned":             {MaxAbandoned: -1},
		"found an empty name":      {Functions: map[string]function.Func{"": nothing}},
		`"sync": found nil`:        {Functions: map[string]function.Func{"sync": nil}},
		"register function metric": {Registerer: taken(t)},
	} {
		if _, err := function.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
	if err := newExecutor(t, nothing).Register("sync", nothing); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("second registration: got error %v", err)
	}
}

// taken is a registry in which the metrics' names are used.
func taken(t *testing.T) prometheus.Registerer {
	t.Helper()
	registry := prometheus.NewRegistry()
	if _, err := function.New(function.Config{Registerer: registry}); err != nil {
		t.Fatal(err)
	}
	return registry
}

func metric(t *testing.T, registry prometheus.Gatherer) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("gathered %v, %v", families, err)
	}
	return families[0].GetMetric()[0].GetGauge().GetValue()
}

func Example() {
	functions, err := function.New(function.Config{Functions: map[string]function.Func{
		"count-orders": func(_ context.Context, run *function.Run) error {
			run.SetCursor("2026-11-02")
			run.SetMessage("counted 7 orders since %s", run.Cursor)
			return nil
		},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	registry, err := executor.NewRegistry(map[string]executor.FlowExecutor{function.Kind: functions})
	if err != nil {
		fmt.Println(err)
		return
	}
	flow := store.DataFlow{Name: "orders", Function: &store.FunctionSpec{Name: "count-orders"}}
	result := registry.Execute(context.Background(), executor.Task{Flow: flow, Cursor: "2026-11-01"})
	fmt.Println(result.Message)
	fmt.Println("next time from", *result.Cursor)
	// Output:
	// counted 7 orders since 2026-11-01
	// next time from 2026-11-02
}
