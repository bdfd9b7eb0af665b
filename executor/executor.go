// Package executor runs one claimed occurrence of a DataFlow, apart from all others.
//
// It owns FlowExecutor, the Registry that finds the executor of a flow's kind, and one folder per kind: function
// (registered Go functions), subprocess (`exec`), webhook (`http`) and wasm. Below the first two, package supervisor starts processes
// that cannot outlive their run; package secrets looks up the secrets that a flow refers to. Nothing here knows of Redis or heartbeats, and
// all it knows of a lease is when it ends: the input is in the Task, the outcome in the Result.
//
//	Task ──> Measure ──> Registry ──> secrets ──┬─> function     a goroutine, or a process
//	                     guards       reveals   ├─> subprocess   a tree of processes
//	                     against      and       ├─> webhook      one request
//	                     panics       conceals  └─> wasm         an instance of a module
//	Result <────────────────────────────────────┘
//
// What always holds: Execute returns soon after its context ends, whatever the flow's code does. Whatever the flow
// does, even a panic, affects only its own Result. Nothing that it started is left behind, with one exception: Go cannot end a
// goroutine, and package function says what it does about one that does not stop. Error values say whether a repetition may
// help: an error wrapped by Permanent is not retried.
package executor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/systole-run/systole/store"
)

// Causes with which a run's context is cancelled (context.Cause), so that an executor and the flow can tell why.
var (
	// ErrTimeout: the flow's timeout passed.
	ErrTimeout = errors.New("timeout of the flow passed")
	// ErrLeaseLost: the lease could not be renewed in time; another worker may run the occurrence by now.
	ErrLeaseLost = errors.New("lease lost")
	// ErrCancelled: somebody asked for the run to be ended.
	ErrCancelled = errors.New("cancelled")
	// ErrDraining: the worker shuts down and hands the occurrence back. The flow gets the usual grace to end.
	ErrDraining = errors.New("worker is draining")
	// ErrAborted: the worker ends at once and hands the occurrence back. No grace is given.
	ErrAborted = errors.New("worker ends at once")
)

// Task is one attempt at an occurrence: everything an executor of any kind gets. It is not changed by executors.
type Task struct {
	Flow         store.DataFlow
	RunID        string
	OccurrenceID string    // the same for every attempt: the flow's idempotency key
	Slot         time.Time // zero for a run-now
	Attempt      int       // from 1
	Token        string    // fencing token: higher for every attempt; decimal
	Worker       string
	Params       json.RawMessage // nil unless started with params
	Cursor       string          // what the last successful run left; empty at first
	Deadline     time.Time       // when the flow's timeout passes, by the local clock
	TraceParent  string          // W3C traceparent of the run's span, or empty

	// Lease tells how long the run may go on without the worker; nil where nothing is leased. What runs in another process ends
	// when it does, also where the worker cannot tell it any more.
	Lease *Lease

	// Log takes the run's output; nil discards it. Writing never fails, never blocks for long, and is safe for
	// concurrent use. Past the cap the oldest bytes go. Tail is one.
	Log io.Writer
	// Secrets are what the flow's references to secrets stand for; nil in a worker that has none. Reveal, Conceal and
	// Concealed use them.
	Secrets Secrets
}

// Output is where the run's output goes: Log, or nowhere where Log is nil.
func (t Task) Output() io.Writer {
	if t.Log == nil {
		return io.Discard
	}
	return t.Log
}

// Result is what came of a Task. The zero value is a success without a message.
type Result struct {
	// Err is why the run failed, nil if it succeeded. Its text is kept with the run, cut to MaxText.
	Err error
	// Reason is one of store's Reason constants; set where Err is set.
	Reason string
	// Permanent says that another attempt would fail the same way.
	Permanent bool
	// Cursor replaces the flow's cursor if the run succeeded and Cursor is not nil.
	Cursor *string
	// Message is a short text that a successful run may give, cut to MaxText.
	Message string
	// Process is what the system told of the run's processes; nil for kinds that have none.
	Process *store.RunProcess
}

// FlowExecutor runs one Task to its end.
//
// Execute blocks until the attempt is over and all that it started has ended. It stops early when ctx ends;
// context.Cause says why. The caller has put Task.Deadline on ctx with ErrTimeout as its cause, so an executor needs
// no timer of its own. Every failure is in the Result; it does not panic. It is safe for concurrent use.
//
// An executor starts what it is given, each time it is called: that an occurrence is not run twice at once is the
// lease's doing, not its own.
type FlowExecutor interface {
	Execute(ctx context.Context, task Task) Result
}
