package function

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

// roleName is what a function's process is started as. It also shows in ps.
const roleName = "systole-function"

// Role lets a program's functions run in processes of their own (`isolation: process`): such a process is the same program,
// started again. It goes into supervisor.Main, first thing in main, so functions that need a connection open it when
// they are called.
//
//	func main() {
//		supervisor.Main(function.Role(functions))
//		…
//	}
func Role(functions map[string]Func) supervisor.Role {
	return supervisor.Role{Name: roleName, Run: func(control *os.File) int { return serve(control, functions) }}
}

// serve runs one function after the other, as the worker says, until the worker closes the socket.
func serve(control *os.File, functions map[string]Func) int {
	// The worker says when to end, also where these signals are sent to everything in a control group.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	out := &sender{to: control}
	orders := make(chan order)
	go func() {
		for {
			var next order
			if receive(control, &next) != nil {
				os.Exit(0) // whatever still runs: the worker does not want it any more
			}
			orders <- next
		}
	}()
	for next := range orders {
		if next.Task == nil {
			continue // a stop that came after the end
		}
		result := follow(next, orders, out, functions)
		if out.send(report{Run: next.Run, Result: resultToWire(result)}) != nil {
			return 1
		}
	}
	return 0
}

// follow runs one function, and stops it when told to.
func follow(begin order, orders <-chan order, out *sender, functions map[string]Func) executor.Result {
	task := begin.Task.task(&logSender{run: begin.Run, out: out})
	call, ok := functions[task.Flow.Function.Name]
	if !ok {
		return executor.Failure(store.ReasonRefused, executor.Permanent(fmt.Errorf("start function: found %q, the function.Role of this program knows %s",
			task.Flow.Function.Name, orNone(slices.Sorted(maps.Keys(functions))))))
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if !task.Deadline.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, task.Deadline, executor.ErrTimeout)
		defer stop()
	}
	done := make(chan executor.Result, 1)
	go run(ctx, call, task, done)
	for {
		select {
		case result := <-done:
			return result
		case next := <-orders:
			if next.Run != begin.Run {
				continue
			}
			cause, known := causes()[next.Stop]
			if !known {
				cause = errors.New(next.Stop)
			}
			cancel(cause)
		}
	}
}

// logSender is a run's log in its process: it goes to the worker, in pieces of bounded size.
type logSender struct {
	run uint64
	out *sender
}

// Write implements io.Writer. It waits while the worker is behind, and never fails.
func (l *logSender) Write(p []byte) (int, error) {
	for piece := range slices.Chunk(p, 32<<10) {
		_ = l.out.send(report{Run: l.run, Log: piece})
	}
	return len(p), nil
}
