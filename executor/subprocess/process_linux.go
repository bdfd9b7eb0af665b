package subprocess

import (
	"errors"
	"math"
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes: a group of its own, and death with the worker.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// sealDescriptors marks all descriptors but the standard streams as not to be inherited. What this program opens is so
// marked anyway; what it was started with need not be, and no flow should get a socket of systemd's or a file of a shell's.
// A kernel before 5.11 does not know the call, and nothing changes.
func sealDescriptors() { _ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }

// reap waits for the command's end and kills what is left of its group. Until it is reaped, a zombie holds its number,
// so that the number cannot yet be another group's.
func (p *process) reap() {
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nothing was left
	p.err = p.cmd.Wait()
	p.reaped = true
}
