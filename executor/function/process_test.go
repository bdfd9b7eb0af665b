package function_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

// misbehaving are the functions of this program's processes.
func misbehaving() map[string]function.Func {
	return map[string]function.Func{
		"fine": func(_ context.Context, run *function.Run) error {
			run.Printf("pid %d, params %s", os.Getpid(), run.Params)
			run.SetCursor(run.Cursor + "0")
			run.SetMessage("%s", run.RunID)
			return nil
		},
		"print": func(context.Context, *function.Run) error { fmt.Println("printed"); return nil },
		"fail":  func(context.Context, *function.Run) error { return executor.Permanent(errors.New("no such order")) },
		"panic": func(context.Context, *function.Run) error { panic("boom") },
		"exit":  func(context.Context, *function.Run) error { os.Exit(3); return nil },
		"overflow": func(context.Context, *function.Run) error {
			debug.SetMaxStack(8 << 20)
			var down func(int) int
			down = func(n int) int { return down(n+1) + n }
			down(0)
			return nil
		},
		"fatal": func(context.Context, *function.Run) error {
			defer func() { _ = recover() }() // no use
			new(sync.Mutex).Unlock()
			return nil
		},
		"hog": func(context.Context, *function.Run) error {
			var held [][]byte
			for {
				block := make([]byte, 1<<20)
				for i := range block {
					block[i] = 1
				}
				held = append(held, block)
				if len(held) > 1<<14 {
					return nil
				}
			}
		},
		"deadlock": func(context.Context, *function.Run) error {
			var mu sync.Mutex
			mu.Lock()
			mu.Lock()
			return nil
		},
		"busy": func(context.Context, *function.Run) error {
			for n := 0; ; n++ {
				if n < 0 {
					n = 0
				}
			}
		},
		"heeds": func(ctx context.Context, run *function.Run) error {
			fmt.Fprintln(run.Log, "ready")
			<-ctx.Done()
			fmt.Fprintln(run.Log, "cause:", context.Cause(ctx))
			return ctx.Err()
		},
		"escape": func(_ context.Context, run *function.Run) error {
			process, err := os.StartProcess("/bin/sleep", []string{"sleep", "300"}, &os.ProcAttr{Sys: &syscall.SysProcAttr{Setsid: true}})
			if err == nil {
				run.SetMessage("%d", process.Pid)
			}
			return errors.Join(err, errors.New("failed after that"))
		},
		"environment": func(_ context.Context, run *function.Run) error {
			run.SetMessage("%v", os.Environ())
			return nil
		},
	}
}

// patience is how long something may take on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

// isolated gives an Executor that runs functions in processes, and kills soon those that do not stop.
func isolated(t testing.TB, cfg function.ProcessConfig) *function.Executor {
	t.Helper()
	return isolatedFor(t, cfg, 200*time.Millisecond)
}

func isolatedFor(t testing.TB, cfg function.ProcessConfig, grace time.Duration) *function.Executor {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("processes are supervised on Linux only")
	}
	s, err := supervisor.Start(supervisor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Supervisor = s
	e, err := function.New(function.Config{Functions: misbehaving(), Grace: grace, Process: cfg, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = e.Close(), s.Close() })
	return e
}

// apart asks for the function name in a process of its own.
func apart(name string) (executor.Task, *executor.Tail) {
	asked, log := task(name)
	asked.Flow.Function.Isolation = store.IsolationProcess
	return asked, log
}

func TestIsolatedFunctionGetsItsTaskAndLeavesCursorMessageAndLog(t *testing.T) {
	t.Parallel()
	e := isolated(t, function.ProcessConfig{Env: []string{"REGION=eu"}})
	asked, log := apart("fine")
	asked.Cursor, asked.Params = "4", []byte(`{"a":1}`)
	result := e.Execute(t.Context(), asked)
	if result.Err != nil || *result.Cursor != "40" || result.Message != "orders~1" {
		t.Errorf("got %+v", result)
	}
	if text := string(log.Snapshot()); !strings.HasSuffix(text, `params {"a":1}`+"\n") || strings.Contains(text, fmt.Sprintf("pid %d,", os.Getpid())) {
		t.Errorf("log is %q", text)
	}
	asked, _ = apart("environment")
	if result := e.Execute(t.Context(), asked); result.Message != "[REGION=eu]" {
		t.Errorf("environment: %+v", result)
	}
}

func TestBadFunctionEndsItsProcessOnlyAndSaysWhy(t *testing.T) {
	t.Parallel()
	e := isolated(t, function.ProcessConfig{Limits: supervisor.Limits{Memory: 256 << 20}})
	for name, c := range map[string]struct{ reason, want string }{
		"fail":     {store.ReasonError, "no such order"},
		"panic":    {store.ReasonPanic, "panic: boom (at "},
		"exit":     {store.ReasonError, "exit code 3"},
		"overflow": {store.ReasonError, "stack overflow"},
		"fatal":    {store.ReasonError, "fatal error: sync: unlock of unlocked mutex"},
		"hog":      {store.ReasonLimit, "limit of memory exceeded"},
		"deadlock": {store.ReasonTimeout, "process"},
		"busy":     {store.ReasonTimeout, "process"},
		"missing":  {store.ReasonRefused, `found "missing"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, _ := apart(name)
			limit := patience
			if c.reason == store.ReasonTimeout {
				limit = time.Second
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), limit, executor.ErrTimeout)
			defer cancel()
			result := e.Execute(ctx, asked)
			if result.Reason != c.reason || result.Err == nil || !strings.Contains(result.Err.Error(), c.want) || strings.Contains(result.Err.Error(), "goroutine ") {
				t.Errorf("got %+v", result)
			}
			if result.Permanent != (name == "fail" || name == "missing") {
				t.Errorf("permanent: %t", result.Permanent)
			}
		})
	}
}

func TestAHundredFunctionsBesideBadOnesFinishUndisturbed(t *testing.T) {
	t.Parallel()
	e := isolated(t, function.ProcessConfig{Idle: 4})
	var all sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i := range 100 {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			name := []string{"fine", "fine", "fine", "exit"}[i%4]
			asked, _ := apart(name)
			asked.RunID = fmt.Sprint("run-", i)
			result := e.Execute(t.Context(), asked)
			if (result.Err == nil) != (name == "fine") || (name == "fine" && result.Message != asked.RunID) {
				t.Errorf("%s: got %+v", name, result)
			}
		})
	}
	all.Wait()
}

// pidOf runs "fine" and gives the process that it ran in.
func pidOf(t *testing.T, e *function.Executor) string {
	t.Helper()
	asked, log := apart("fine")
	if result := e.Execute(t.Context(), asked); result.Err != nil {
		t.Fatal(result.Err)
	}
	pid, _, _ := strings.Cut(string(log.Snapshot()), ",")
	return pid
}

func TestProcessIsUsedAgainSoManyTimesAndNeverAfterAFailure(t *testing.T) {
	t.Parallel()
	e := isolated(t, function.ProcessConfig{Reuse: 3, Idle: 1})
	first := pidOf(t, e)
	if again := pidOf(t, e); again != first {
		t.Errorf("the second run was in %s, the first in %s", again, first)
	}
	if third := pidOf(t, e); third != first {
		t.Errorf("the third run was in %s, the first in %s", third, first)
	}
	fourth := pidOf(t, e)
	if fourth == first {
		t.Error("the fourth run was in the first process")
	}
	asked, _ := apart("fail")
	e.Execute(t.Context(), asked)
	if after := pidOf(t, e); after == fourth {
		t.Error("after a failure, the process was used again")
	}
}

func TestIsolatedFunctionHearsWhyItIsStopped(t *testing.T) {
	t.Parallel()
	e := isolatedFor(t, function.ProcessConfig{}, patience)
	asked, log := apart("heeds")
	ctx, cancel := context.WithCancelCause(t.Context())
	asked.Log = onWrite{log, func() { cancel(executor.ErrDraining) }}
	result := e.Execute(ctx, asked)
	if result.Reason != store.ReasonHandedBack || !strings.Contains(string(log.Snapshot()), "cause: worker is draining") {
		t.Errorf("got %+v, %q", result, log.Snapshot())
	}
}

// onWrite calls a function at each write.
type onWrite struct {
	io.Writer
	call func()
}

func (w onWrite) Write(p []byte) (int, error) {
	w.call()
	return w.Writer.Write(p)
}

// The process is killed, and may be gone before anybody looks at the context.
func TestIsolatedFunctionWhoseContextEndsWhileItsProcessStartsIsInterrupted(t *testing.T) {
	t.Parallel()
	e := isolated(t, function.ProcessConfig{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(executor.ErrDraining)
	for range 20 {
		asked, _ := apart("fine")
		if result := e.Execute(ctx, asked); result.Reason != store.ReasonHandedBack {
			t.Fatalf("got %+v", result)
		}
	}
}

func TestIsolatedFunctionEndsWithItsLeaseAndLeavesNothing(t *testing.T) {
	t.Parallel()
	e := isolated(t, function.ProcessConfig{})
	asked, _ := apart("busy")
	asked.Lease = executor.NewLease(time.Now().Add(time.Second))
	if result := e.Execute(t.Context(), asked); result.Reason != store.ReasonLeaseLost {
		t.Errorf("got %+v", result)
	}
	asked, _ = apart("escape")
	result := e.Execute(t.Context(), asked)
	if result.Err == nil {
		t.Errorf("got %+v", result)
	}
}

func TestWithoutASupervisorIsolationIsRefusedByName(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, misbehaving()["fine"])
	asked, _ := apart("sync")
	if result := e.Execute(t.Context(), asked); result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), "function.isolation: found process") {
		t.Errorf("got %+v", result)
	}
}

// BenchmarkIsolated shows what a run in a waiting process costs.
func BenchmarkIsolated(b *testing.B) {
	e := isolated(b, function.ProcessConfig{Reuse: 1 << 30})
	asked, _ := apart("fine")
	asked.Log = nil
	for b.Loop() {
		if result := e.Execute(b.Context(), asked); result.Err != nil {
			b.Fatal(result.Err)
		}
	}
}
