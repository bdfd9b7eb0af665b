package subprocess

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// process is a command that this process started, and its process group: what there is without a supervisor.
//
// Cancel and WaitDelay of os/exec do not fit: they signal one process and not its group, and they have one duration
// both for a command that should stop and for output that stays open after it.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the command has been reaped
	err    error         // of cmd.Wait, readable once exited is closed

	mu     sync.Mutex
	reaped bool // its id may belong to someone else by now
}

// start starts cmd in a group of its own. One goroutine, locked to its thread, starts it and waits for it: the kernel ties
// PDEATHSIG to the thread that forked, so that thread must not end before the command does. It costs no thread
// more, since waiting blocks one anyway.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			p.reap()
		}
	}()
	return p, <-started
}

func (p *process) done() <-chan struct{} { return p.exited }
func (p *process) terminate()            { p.signal(syscall.SIGTERM) }
func (p *process) kill()                 { p.signal(syscall.SIGKILL) }

// signal reaches every process of the group, but none that has merely got the command's number after it.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, sig) // ESRCH: all have ended
	}
}

func (p *process) ending() ending {
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return ending{err: p.err}
	}
	if exit == nil {
		return ending{}
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return ending{signal: status.Signal()}
	}
	return ending{code: exit.ExitCode()}
}
