package subprocess

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// No test can make a process that survives KILL, so this one has a command that never reports its end.
func TestCommandThatTheKernelWillNotEndIsGivenUp(t *testing.T) {
	t.Parallel()
	p := &process{exited: make(chan struct{}), reaped: true} // reaped: there is nothing to signal
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(executor.ErrTimeout)
	end := await(ctx, p, time.Millisecond, time.Millisecond, nil)
	got := result(ctx, end, "mount is gone", nil)
	if got.Reason != store.ReasonTimeout || !strings.Contains(got.Err.Error(), "nor on SIGKILL, and was left behind: mount is gone") {
		t.Errorf("got %+v", got)
	}
}
