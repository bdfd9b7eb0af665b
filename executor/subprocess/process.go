package subprocess

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/systole-run/systole/executor"
)

// process is a started command and its process group.
//
// Cancel and WaitDelay of os/exec do not fit: they signal one process and not its group, and they have one duration
// both for a command that should stop and for output that stays open after it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the command has been reaped
	err  error         // of cmd.Wait, readable once done is closed

	mu     sync.Mutex
	reaped bool // its id may belong to someone else by now
}

// ending is how a command ended.
type ending struct {
	err         error // of exec.Cmd.Wait: nil for exit code 0, or an *exec.ExitError
	interrupted bool  // ctx ended first
	killed      bool  // it did not heed TERM
	stuck       bool  // it did not even heed KILL, and is still there
}

// start starts cmd in a group of its own. One goroutine, locked to its thread, starts it and waits for it: the kernel ties
// PDEATHSIG to the thread that forked, so that thread must not end before the command does. It costs no thread
// more, since waiting blocks one anyway.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.reap()
		}
	}()
	return p, <-started
}

// wait blocks until the command has ended, which it brings about when ctx ends: TERM to the group, and KILL after grace,
// or KILL at once where the worker ends at once.
// A command that the kernel will not let die (it hangs in a broken file system) is given up after another grace.
func (p *process) wait(ctx context.Context, grace time.Duration) ending {
	select {
	case <-p.done:
		return ending{err: p.err}
	case <-ctx.Done():
	}
	end := ending{interrupted: !p.endsWithin(0)}
	atOnce := errors.Is(context.Cause(ctx), executor.ErrAborted)
	if !atOnce {
		p.signal(syscall.SIGTERM)
	}
	if atOnce || !p.endsWithin(grace) {
		end.killed = true
		p.signal(syscall.SIGKILL)
		end.stuck = !p.endsWithin(grace)
	}
	if !end.stuck {
		end.err = p.err
	}
	return end
}

func (p *process) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
	}
	select { // both may have been ready
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal reaches every process of the group, but none that has merely got the command's number after it.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, sig) // ESRCH: all have ended
	}
}
