//go:build unix && !linux

package subprocess

import "syscall"

// processAttributes: a group of its own. Only Linux can also tie the command's life to the worker's.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// sealDescriptors has nothing to do it with here: what the worker was started with, its commands may inherit.
func sealDescriptors() {}

// reap waits for the command's end and kills what is left of its group. Nothing here waits without reaping, so for an
// instant the number of an empty group may already be someone else's; systems hand numbers out in turn, which makes
// that improbable.
func (p *process) reap() {
	p.err = p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nothing was left
	p.reaped = true
}
