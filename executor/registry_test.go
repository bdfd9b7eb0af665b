package executor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// does is an executor that calls a function.
type does func(ctx context.Context, task executor.Task) executor.Result

func (f does) Execute(ctx context.Context, task executor.Task) executor.Result { return f(ctx, task) }

// execTask is a Task of the kind `exec`, with a log.
func execTask() (executor.Task, *executor.Tail) {
	tail := executor.NewTail(0)
	flow := store.DataFlow{Name: "orders", Exec: &store.ExecSpec{Command: []string{"true"}}}
	return executor.Task{Flow: flow.WithDefaults(), RunID: "orders~1", Attempt: 1, Log: tail}, tail
}

// execute runs f as the executor of the kind `exec`.
func execute(t *testing.T, ctx context.Context, f does) (executor.Result, string) {
	t.Helper()
	registry, err := executor.NewRegistry(map[string]executor.FlowExecutor{"exec": f})
	if err != nil {
		t.Fatal(err)
	}
	task, tail := execTask()
	result := registry.Execute(ctx, task)
	return result, string(tail.Snapshot())
}

// R3.3
func TestRegistryRunsATaskWithTheExecutorOfItsKind(t *testing.T) {
	t.Parallel()
	cursor := "42"
	result, _ := execute(t, t.Context(), func(_ context.Context, task executor.Task) executor.Result {
		return executor.Result{Cursor: &cursor, Message: "ran " + task.Flow.Name}
	})
	if result.Err != nil || result.Message != "ran orders" || result.Cursor == nil || *result.Cursor != "42" {
		t.Errorf("got %+v", result)
	}
}

func TestRegistryRefusesAnUnknownKindForGood(t *testing.T) {
	t.Parallel()
	registry, err := executor.NewRegistry(map[string]executor.FlowExecutor{"http": does(nil), "function": does(nil)})
	if err != nil {
		t.Fatal(err)
	}
	task, _ := execTask()
	result := registry.Execute(t.Context(), task)
	if result.Reason != store.ReasonRefused || !result.Permanent {
		t.Errorf("got reason %q, permanent %t", result.Reason, result.Permanent)
	}
	if want := `start run: found a flow of kind "exec", this worker runs function, http`; result.Err.Error() != want {
		t.Errorf("got %q, want %q", result.Err, want)
	}
}

// R3.4
func TestRegistryTurnsAPanicOfAnExecutorIntoAFailureWithItsStackInTheLog(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"text": "boom", "an error": errors.New("boom"), "nil dereference": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, log := execute(t, t.Context(), func(context.Context, executor.Task) executor.Result {
				if value == nil {
					var task *executor.Task
					return executor.Result{Message: task.RunID}
				}
				panic(value)
			})
			var panicked *executor.PanicError
			if !errors.As(result.Err, &panicked) || result.Reason != store.ReasonPanic {
				t.Fatalf("got %+v", result)
			}
			if !strings.Contains(result.Err.Error(), "registry_test.go:") {
				t.Errorf("error does not name the line: %q", result.Err)
			}
			if !strings.Contains(log, "goroutine ") || !strings.Contains(string(panicked.Stack), "registry_test.go:") {
				t.Errorf("no stack in the log: %q", log)
			}
		})
	}
}

func TestRegistryStartsNothingWhenTheContextHasEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(executor.ErrDraining)
	result, _ := execute(t, ctx, func(context.Context, executor.Task) executor.Result {
		t.Error("was started")
		return executor.Result{}
	})
	if result.Reason != store.ReasonHandedBack || !errors.Is(result.Err, executor.ErrDraining) {
		t.Errorf("got %+v", result)
	}
}

// wild is an error whose text cannot be taken.
type wild struct{}

func (*wild) Error() string { panic("no text") }

func TestRegistryBoundsWhatARunLeavesBehind(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	long := strings.Repeat("é", executor.MaxText)
	for _, c := range []struct {
		name   string
		given  executor.Result
		reason string
		err    string // part of the error; empty for a success
	}{
		{"a long message is cut", executor.Result{Message: long}, "", ""},
		{"a long error is cut", executor.Result{Err: errors.New(long), Reason: store.ReasonError}, store.ReasonError, "…"},
		{"an error without a reason gets one", executor.Result{Err: errors.New("bad")}, store.ReasonError, "bad"},
		{"an error whose text panics", executor.Result{Err: &wild{}}, store.ReasonError, "PANIC"},
		{"a failed run has no cursor", executor.Result{Err: errors.New("bad"), Cursor: text("1")}, store.ReasonError, "bad"},
		{"a cursor of the largest size", executor.Result{Cursor: text(strings.Repeat("c", executor.MaxCursor))}, "", ""},
		{"a cursor too large", executor.Result{Cursor: text(strings.Repeat("c", executor.MaxCursor+1))}, store.ReasonError, "65537 bytes"},
		{"a cursor that is not text", executor.Result{Cursor: text("\xff")}, store.ReasonError, "UTF-8"},
		{"a cursor with a NUL byte", executor.Result{Cursor: text("a\x00")}, store.ReasonError, "NUL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, _ := execute(t, t.Context(), func(context.Context, executor.Task) executor.Result { return c.given })
			if got.Reason != c.reason || (got.Err != nil) != (c.err != "") || !strings.Contains(fmt.Sprint(got.Err), c.err) {
				t.Errorf("got reason %q, error %.100v", got.Reason, got.Err)
			}
			if got.Err != nil && (got.Cursor != nil || len(got.Err.Error()) > executor.MaxText) {
				t.Errorf("cursor %v, error of %d bytes", got.Cursor, len(got.Err.Error()))
			}
			if len(got.Message) > executor.MaxText {
				t.Errorf("message of %d bytes", len(got.Message))
			}
		})
	}
}

func TestNewRegistryNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string]map[string]executor.FlowExecutor{
		"no kinds": nil, "no executor": {"exec": nil}, "no name": {"": does(nil)},
	} {
		if _, err := executor.NewRegistry(kinds); err == nil || !strings.Contains(err.Error(), "kinds") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}
