package testenv

import (
	"os/exec"
	"runtime"
	"syscall"
)

// dieWithParent asks the kernel to kill the process when the thread that starts it ends.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// startLocked starts cmd from a thread that lives as long as this process, since PDEATHSIG follows the thread.
func startLocked(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			select {} // keep the thread
		}
	}()
	return <-started
}
