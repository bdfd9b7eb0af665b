package executor

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/systole-run/systole/store"
)

// PanicError is a panic of a flow's code, as an error. Its text is one line; the stack is in Stack and in the run's log.
type PanicError struct {
	Value any    // what was given to panic
	Where string // "file:line" of the panic, empty if it is not known
	Stack []byte
}

func (e *PanicError) Error() string {
	if e.Where == "" {
		return fmt.Sprintf("panic: %v", e.Value)
	}
	return fmt.Sprintf("panic: %v (at %s)", e.Value, e.Where)
}

// Unwrap gives the panic's value where that was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Panicked is the Result of a run that panicked with value. It is called from the deferred function that recovered,
// and writes the stack to the run's log.
func Panicked(task Task, value any) Result {
	err := &PanicError{Value: value, Where: panicSite(), Stack: debug.Stack()}
	fmt.Fprintf(task.Output(), "panic: %v\n\n%s\n", value, err.Stack)
	return Failure(store.ReasonPanic, err)
}

// panicSite finds the line that panicked: the first frame beneath the runtime's panic machinery.
func panicSite() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for panicking := false; ; {
		frame, more := frames.Next()
		inRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if panicking && !inRuntime {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
		panicking = panicking || frame.Function == "runtime.gopanic"
		if !more {
			return ""
		}
	}
}
