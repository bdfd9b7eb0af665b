package function

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

// DefaultReuse is how many runs one process has unless told otherwise.
const DefaultReuse = 100

// ProcessConfig says how functions with `isolation: process` are run. It takes a Supervisor, and a program that has called
// supervisor.Main with Role; the zero value refuses such functions.
type ProcessConfig struct {
	Supervisor *supervisor.Supervisor // nil: none are run. It stays the caller's
	// Reuse is how many runs one process has at most; default DefaultReuse, 1 for a new one each time. One in which a
	// run has failed has no other.
	Reuse int
	// Idle is how many processes wait for a run at most; default the number of CPUs, below 0 for none.
	Idle int
	// Limits of each process. CPU is of all its runs together.
	Limits supervisor.Limits
	// Env is the whole environment of the processes: they get nothing of the worker's.
	Env []string
}

func (c ProcessConfig) withDefaults() (ProcessConfig, error) {
	if c.Reuse < 0 {
		return c, fmt.Errorf("new function executor: Process.Reuse: found %d, allowed is 0 (%d) or more", c.Reuse, DefaultReuse)
	}
	if c.Reuse == 0 {
		c.Reuse = DefaultReuse
	}
	if c.Idle == 0 {
		c.Idle = runtime.NumCPU()
	}
	return c, nil
}

// Close ends the processes that wait for a run. It is for those who gave a Supervisor, before they close that.
func (e *Executor) Close() error {
	e.pool.close()
	return nil
}

// isolate runs the function in a process of its own.
func (e *Executor) isolate(ctx context.Context, task executor.Task) executor.Result {
	if e.cfg.Process.Supervisor == nil {
		return executor.Failure(store.ReasonRefused, executor.Permanent(fmt.Errorf(
			"start function %q: function.isolation: found process, allowed is none: this worker has no supervisor, which takes Linux", task.Flow.Function.Name)))
	}
	c, err := e.pool.take(ctx)
	if err != nil {
		return failure(ctx, store.ReasonRefused, fmt.Errorf("start function's process: %w", err))
	}
	result := e.runIn(ctx, c, task)
	e.pool.give(c, result.Err != nil)
	return result
}

// runIn runs the function in a process that runs nothing else. From the first moment the process ends with the lease.
func (e *Executor) runIn(ctx context.Context, c *child, task executor.Task) executor.Result {
	over := make(chan struct{})
	renewing := make(chan struct{})
	until, moved := task.Lease.Until()
	c.process.Extend(until)
	go func() {
		defer close(renewing)
		for {
			select {
			case <-over:
				return
			case <-moved:
			}
			until, moved = task.Lease.Until()
			c.process.Extend(until)
		}
	}()
	result := e.await(ctx, c, task)
	close(over)
	<-renewing
	if result.Err == nil {
		c.process.Extend(time.Time{}) // it waits for the next run as long as it takes
	}
	return result
}

func (e *Executor) await(ctx context.Context, c *child, task executor.Task) executor.Result {
	done, err := c.begin(task)
	if err != nil && c.living() {
		return failure(ctx, store.ReasonError, fmt.Errorf("hand the run to the function's process: %w", err))
	}
	select {
	case result := <-done:
		return result
	case <-c.process.Done():
		result := c.died(done)
		if result.Err != nil && ctx.Err() != nil { // it may have been killed while it started
			return executor.Interrupted(ctx, result.Err)
		}
		return result
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	grace := e.cfg.Grace
	if errors.Is(cause, executor.ErrAborted) {
		grace = 0
	}
	c.stop(cause)
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case result := <-done:
		return result
	case <-c.process.Done():
		return executor.Interrupted(ctx, c.died(done).Err)
	case <-late.C:
	}
	return executor.Interrupted(ctx, fmt.Errorf("function did not return within %s, and its process is killed", grace))
}

// failure is that of a run that did not begin. Where its context has ended meanwhile, that is why.
func failure(ctx context.Context, reason string, err error) executor.Result {
	if ctx.Err() != nil {
		return executor.Interrupted(ctx, err)
	}
	return executor.Failure(reason, err)
}

// died is what came of a run whose process is gone. It may have given its result before.
func (c *child) died(done <-chan executor.Result) executor.Result {
	c.reading.Wait() // all that it said and printed
	select {
	case result := <-done:
		return result
	default:
	}
	end := c.process.End()
	reason := store.ReasonError
	switch {
	case end.Exceeded != nil:
		reason = store.ReasonLimit
	case end.Killed == supervisor.KilledDeadline:
		reason = store.ReasonLeaseLost
	}
	result := executor.Failure(reason, c.lastWords())
	result.Process = &store.RunProcess{CPUMS: end.CPU.Milliseconds(), PeakMemory: end.Memory, Sandbox: store.SandboxStandard, Applied: c.process.Applied()}
	if end.Exceeded != nil {
		result.Process.Limit = end.Exceeded.Limit
	}
	if end.Signal != 0 {
		result.Process.Signal = unix.SignalName(unix.Signal(end.Signal))
	} else if end.Code >= 0 {
		result.Process.ExitCode = &end.Code
	}
	return result
}
