package subprocess

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// running is a started command, whoever started it.
type running interface {
	done() <-chan struct{} // closed when it has ended
	terminate()            // asks it to end
	kill()                 // ends it with what belongs to it
	ending() ending        // how it ended, once done is closed
}

// ending is how a command ended.
type ending struct {
	code   int            // exit code, if signal is 0
	signal syscall.Signal // that ended it
	err    error          // of waiting, where neither is known

	interrupted bool              // ctx ended first
	killed      bool              // it did not heed TERM
	stuck       bool              // it did not even heed KILL, and is still there
	exceeded    *exceeded         // the limit for which it was ended, nil for none
	asked       bool              // it was killed since that was asked of its supervisor, as when ctx ends while it starts
	lost        string            // why its supervisor ended it unasked, empty if it did not
	process     *store.RunProcess // what the system told, nil if it did not
}

// exceeded is a limit that was not kept.
type exceeded struct{ name, found, allowed string }

func (e *exceeded) Error() string {
	return fmt.Sprintf("limit of %s exceeded: found %s, allowed %s", e.name, e.found, e.allowed)
}

// await blocks until the command has ended, which it brings about when ctx ends, or when a limit is exceeded: TERM, and
// KILL after grace; KILL at once where the worker ends at once, or for a limit.
// A command that the kernel will not let die (it hangs in a broken file system) is given up after patience.
func await(ctx context.Context, r running, grace, patience time.Duration, over <-chan *exceeded) ending {
	var end ending
	select {
	case <-r.done():
		told := r.ending()
		told.interrupted = told.asked && ctx.Err() != nil
		return told
	case end.exceeded = <-over:
	case <-ctx.Done():
		end.interrupted = !endsWithin(r, 0)
	}
	atOnce := end.exceeded != nil || errors.Is(context.Cause(ctx), executor.ErrAborted)
	if !atOnce {
		r.terminate()
	}
	if atOnce || !endsWithin(r, grace) {
		end.killed = end.interrupted
		r.kill()
		end.stuck = !endsWithin(r, patience)
	}
	if end.stuck {
		return end
	}
	told := r.ending()
	told.interrupted = end.interrupted || told.asked && ctx.Err() != nil && end.exceeded == nil
	told.killed = end.killed
	if end.exceeded != nil {
		told.exceeded, told.lost = end.exceeded, ""
	}
	return told
}

func endsWithin(r running, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.done():
		return true
	case <-timer.C:
	}
	select { // both may have been ready
	case <-r.done():
		return true
	default:
		return false
	}
}
