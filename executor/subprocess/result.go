package subprocess

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// result translates how the command ended. Only exit code 0 is a success, and only if ctx had not ended first: a command
// that stops on TERM may well exit with 0.
func result(ctx context.Context, end ending, lastErrors string, folder *folder) executor.Result {
	if end.interrupted {
		return executor.Interrupted(ctx, withErrors(describe(end), lastErrors))
	}
	if end.err != nil {
		return executor.Failure(store.ReasonError, withErrors(describe(end), lastErrors))
	}
	cursor, err := folder.cursor()
	if err != nil {
		return executor.Failure(store.ReasonError, fmt.Errorf("read $SYSTOLE_CURSOR_OUT: %w", err))
	}
	return executor.Result{Cursor: cursor}
}

// describe says in words how the command ended.
func describe(end ending) error {
	var exit *exec.ExitError
	switch {
	case end.stuck:
		return errors.New("command did not end on SIGTERM nor on SIGKILL, and was left behind")
	case end.killed:
		return errors.New("command did not end on SIGTERM and was killed")
	case end.err == nil:
		return errors.New("command ended with exit code 0 when told to stop")
	case !errors.As(end.err, &exit):
		return fmt.Errorf("wait for command: %w", end.err)
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return fmt.Errorf("command was ended by signal %s (%s)", unix.SignalName(status.Signal()), status.Signal())
	}
	return fmt.Errorf("command ended with exit code %d", exit.ExitCode())
}

func withErrors(err error, lastErrors string) error {
	if lastErrors == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, lastErrors)
}
