package subprocess

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

// result translates how the command ended. Only exit code 0 is a success, and only if ctx had not ended first: a command
// that stops on TERM may well exit with 0.
func result(ctx context.Context, end ending, lastErrors string, folder *folder) (result executor.Result) {
	defer func() { result.Process = end.report() }()
	switch {
	case end.interrupted:
		return executor.Interrupted(ctx, executor.WithErrorOutput(describe(end), lastErrors))
	case end.exceeded != nil:
		return executor.Failure(store.ReasonLimit, executor.WithErrorOutput(end.exceeded, lastErrors))
	case end.lost == supervisor.KilledDeadline:
		return executor.Failure(store.ReasonLeaseLost, executor.WithErrorOutput(errors.New("command was ended: its lease was not renewed in time"), lastErrors))
	case end.lost != "":
		return executor.Failure(store.ReasonError, executor.WithErrorOutput(fmt.Errorf("command was ended: %s", end.lost), lastErrors))
	case end.failed():
		return executor.Failure(store.ReasonError, executor.WithErrorOutput(describe(end), lastErrors))
	}
	cursor, err := folder.cursor()
	if err != nil {
		return executor.Failure(store.ReasonError, fmt.Errorf("read $SYSTOLE_CURSOR_OUT: %w", err))
	}
	return executor.Result{Cursor: cursor}
}

func (e ending) failed() bool { return e.stuck || e.err != nil || e.signal != 0 || e.code != 0 }

// report is what is kept with the run. Without a supervisor there is none.
func (e ending) report() *store.RunProcess {
	if e.process != nil && e.exceeded != nil {
		e.process.Limit = e.exceeded.name
	}
	return e.process
}

// describe says in words how the command ended.
func describe(end ending) error {
	switch {
	case end.stuck:
		return errors.New("command did not end on SIGTERM nor on SIGKILL, and was left behind")
	case end.killed:
		return errors.New("command did not end on SIGTERM and was killed")
	case end.err != nil:
		return fmt.Errorf("wait for command: %w", end.err)
	case end.signal != 0:
		return fmt.Errorf("command was ended by signal %s (%s)", unix.SignalName(end.signal), end.signal)
	case end.interrupted && end.code == 0:
		return errors.New("command ended with exit code 0 when told to stop")
	}
	return fmt.Errorf("command ended with exit code %d", end.code)
}

// blame finds the limit for which a command failed in what it said of that: at some limits the kernel ends nothing, but
// refuses what was asked, and the command says so in the words of the C library or its like.
func blame(limits store.Limits, lastErrors string) *exceeded {
	said := strings.ToLower(lastErrors)
	for _, limit := range compare(limits, store.Limits{}) {
		words := map[string]string{
			limitMemory: "cannot allocate memory", limitOpenFiles: "too many open files", limitFileSize: "file too large",
		}[limit.name]
		if limit.asked > 0 && words != "" && strings.Contains(said, words) {
			return &exceeded{limit.name, "more", limit.text(limit.asked)}
		}
	}
	return nil
}
