package function

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
)

// errGoexit is the failure of a function that ended its goroutine instead of returning.
var errGoexit = errors.New("function ended its goroutine (runtime.Goexit) instead of returning")

// Execute implements executor.FlowExecutor. The function runs in a goroutine of its own, so that the run can end
// without it.
func (e *Executor) Execute(ctx context.Context, task executor.Task) executor.Result {
	f, err := e.find(task.Flow)
	if err != nil {
		return executor.Failure(store.ReasonRefused, err)
	}
	if task.Flow.Function.Isolation == store.IsolationProcess {
		return e.isolate(ctx, task)
	}
	done := make(chan executor.Result, 1)
	go run(ctx, f.call, task, done)
	select {
	case result := <-done:
		return result
	case <-ctx.Done():
	}
	grace := time.NewTimer(e.cfg.Grace)
	defer grace.Stop()
	select {
	case result := <-done:
		return result
	case <-grace.C:
		return e.abandon(ctx, f, task, done)
	}
}

// run calls the function and sends exactly one Result, however the function ends. The Result is complete before it is
// sent, and the Run is never looked at from outside: there is nothing that a late function could race with.
func run(ctx context.Context, call Func, task executor.Task, done chan<- executor.Result) {
	result := executor.Failure(store.ReasonError, errGoexit) // stands if nothing below replaces it
	defer func() {
		if value := recover(); value != nil {
			result = executor.Panicked(task, value)
		}
		done <- result
	}()
	r := &Run{Task: task}
	err := call(ctx, r)
	result = resultOf(ctx, r, err)
}

func resultOf(ctx context.Context, r *Run, err error) executor.Result {
	switch {
	case ctx.Err() != nil:
		return executor.Interrupted(ctx, err)
	case err != nil:
		return executor.Failure(store.ReasonError, err)
	}
	return executor.Result{Cursor: r.cursor, Message: r.message}
}

// abandon ends the run without its function. A goroutine waits for the function's end, to count it out again.
func (e *Executor) abandon(ctx context.Context, f *function, task executor.Task, done <-chan executor.Result) executor.Result {
	f.abandoned.Add(1)
	log := e.cfg.Logger.With(logkey.Flow, task.Flow.Name, logkey.Group, task.Flow.Group,
		logkey.RunID, task.RunID, logkey.Function, task.Flow.Function.Name)
	since := time.Now()
	log.Error("function ignores the end of its context; its goroutine was abandoned", logkey.Reason, context.Cause(ctx), logkey.DurationMS, e.cfg.Grace.Milliseconds())
	go func() {
		<-done
		f.abandoned.Add(-1)
		log.Warn("abandoned function has ended", "late", time.Since(since)+e.cfg.Grace)
	}()
	detail := fmt.Errorf("function did not return within %s and was abandoned", e.cfg.Grace)
	fmt.Fprintf(task.Output(), "%v\n", detail)
	return executor.Interrupted(ctx, detail)
}
