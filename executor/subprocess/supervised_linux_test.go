package subprocess_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

// R6.4
func TestExceededLimitIsNamedInTheRunsError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		limits store.Limits
		want   string
	}{
		"CPU":                          {"while :; do :; done", store.Limits{CPU: store.Duration(time.Second)}, "limit of cpu exceeded"},
		"memory":                       {"head -c 80000000 /dev/zero | tail -c 80000000 | sleep 300", store.Limits{Memory: 48 << 20}, "allowed 48MiB"},
		"processes":                    {"for i in 1 2 3 4 5 6 7 8 9; do sleep 300 & done; wait", store.Limits{Processes: 5}, "allowed 5"},
		"open files":                   {"exec bash -c 'for i in {1..60}; do exec {fd}</dev/null || exit 1; done'", store.Limits{OpenFiles: 32}, "limit of open_files exceeded"},
		"file size":                    {"head -c 3000000 /dev/zero >large", store.Limits{FileSize: 1 << 20}, "limit of file_size exceeded"},
		"output":                       {"exec yes", store.Limits{Output: 1 << 20}, "limit of output exceeded: found more, allowed 1MiB"},
		"a folder":                     {"while :; do head -c 300000 /dev/zero >$(mktemp ./XXXXXX); done", store.Limits{Folder: 2 << 20}, "limit of folder exceeded: found more, allowed 2MiB"},
		"folders in one another":       {"while mkdir a; do cd a; done; sleep 300", store.Limits{Folder: 1 << 30}, "limit of folder exceeded: found more than 100 folders in one another"},
		"a folder, in the last moment": {"head -c 3000000 /dev/zero >large", store.Limits{Folder: 1 << 20}, "limit of folder exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "open files" {
				if _, err := os.Stat("/bin/bash"); err != nil {
					t.Skip("no bash")
				}
			}
			f := newFixture(t, c.script)
			f.task.Flow.Exec.Limits = &c.limits
			result, _ := f.run(t)
			if result.Reason != store.ReasonLimit || !strings.Contains(result.Err.Error(), c.want) || result.Permanent {
				t.Errorf("got %+v", result)
			}
			if result.Process == nil || !strings.Contains(c.want+result.Err.Error(), "limit of "+result.Process.Limit+" exceeded") {
				t.Errorf("told %+v", result.Process)
			}
		})
	}
}

func TestOperatorsLimitsHoldForFlowsThatSetNone(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]subprocess.Policy{
		"usual":   {Limits: store.Limits{Output: 1000}},
		"maximum": {Max: subprocess.Max{Limits: store.Limits{Output: 1000}}},
		"lower":   {Limits: store.Limits{Output: 5000}, Max: subprocess.Max{Limits: store.Limits{Output: 1000}}},
	} {
		f := newFixture(t, "exec yes", func(cfg *subprocess.Config) { cfg.Policy = policy })
		if result, _ := f.run(t); result.Reason != store.ReasonLimit || !strings.Contains(result.Err.Error(), "allowed 1000") {
			t.Errorf("%s: got %+v", name, result)
		}
	}
}

func TestRunTellsHowItsProcessesEndedAndWhatWasApplied(t *testing.T) {
	t.Parallel()
	result, _ := newFixture(t, "head -c 150000000 /dev/zero | tail -c 150000000 >/dev/null; exit 7").run(t)
	told := result.Process
	if told == nil || told.ExitCode == nil || *told.ExitCode != 7 || told.CPUMS < 1 || told.PeakMemory < 140<<20 || told.Sandbox != "standard" {
		t.Fatalf("got %+v", told)
	}
	if !slices.Contains(told.Applied, "no_new_privs") {
		t.Errorf("applied %v", told.Applied)
	}
	result, _ = newFixture(t, "kill -SEGV $$").run(t)
	if told := result.Process; told == nil || told.ExitCode != nil || told.Signal != "SIGSEGV" {
		t.Errorf("got %+v", told)
	}
}

func TestStrictSandboxLeavesTheRunFolderAndWhatTheFlowLists(t *testing.T) {
	t.Parallel()
	if host := supervisor.Probe(); host.Strict != nil {
		t.Skip("this host has no strict sandbox: ", host.Strict)
	}
	listed, other := t.TempDir(), t.TempDir()
	write(t, listed+"/file", "listed\n", 0o600)
	write(t, other+"/file", "other\n", 0o600)
	f := newFixture(t, `
		cat "$LISTED/file"; cat "$OTHER/file" 2>/dev/null || echo not read
		echo own >own && cat own; echo 42 >"$SYSTOLE_CURSOR_OUT"
		echo x 2>/dev/null >"$OTHER/new" || echo not made
		cat`)
	f.task.Params = []byte(`{"a":1}`)
	spec := f.task.Flow.Exec
	spec.Sandbox, spec.Env = "strict", map[string]string{"LISTED": listed, "OTHER": other}
	spec.Files = &store.ExecFiles{Read: []string{listed}}
	result, log := f.run(t)
	if want := "listed\nnot read\nown\nnot made\n" + `{"a":1}`; result.Err != nil || log != want || *result.Cursor != "42" {
		t.Errorf("got %+v, %q", result, log)
	}
	spec.Files.Read[0] = listed + "/missing"
	if result, _ := f.run(t); result.Reason != store.ReasonRefused || !strings.Contains(fmt.Sprint(result.Err), "missing") {
		t.Errorf("a listed path that is not there: %+v", result)
	}
}

func TestStrictSandboxSaysThatAnInterpreterHasToBeListed(t *testing.T) {
	t.Parallel()
	if host := supervisor.Probe(); host.Strict != nil {
		t.Skip("this host has no strict sandbox: ", host.Strict)
	}
	home := t.TempDir()
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(home, "elsewhere", "sh"), string(shell), 0o755)
	write(t, filepath.Join(home, "jobs", "script"), "#!"+home+"/elsewhere/sh\n", 0o755)
	f := newFixture(t, "")
	f.task.Flow.Exec.Command, f.task.Flow.Exec.Sandbox = []string{filepath.Join(home, "jobs", "script")}, store.SandboxStrict
	result, _ := f.run(t)
	if result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), "has to be under files.read, too") {
		t.Errorf("got %+v", result)
	}
	f.task.Flow.Exec.Files = &store.ExecFiles{Read: []string{filepath.Join(home, "elsewhere")}}
	if result, _ := f.run(t); result.Err != nil {
		t.Errorf("where it is listed: got %+v", result)
	}
}

func TestEscapedGrandchildEndsWithTheRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `(setsid sh -c 'echo pid $$; : >started; exec sleep 300' &); until [ -e started ]; do sleep 0.02; done`)
	result, log := f.run(t)
	found := pids(t, log)
	if result.Err != nil || len(found) != 1 || !gone(found[0]) {
		t.Errorf("got %+v, %v", result, found)
	}
}

func TestRunEndsWithItsLeaseAlsoWhereTheWorkerDoesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "echo pid $$; exec sleep 300")
	f.task.Lease = executor.NewLease(time.Now().Add(500 * time.Millisecond))
	result, _ := f.run(t)
	if result.Reason != store.ReasonLeaseLost || !strings.Contains(result.Err.Error(), "lease was not renewed") {
		t.Errorf("got %+v", result)
	}
}

func TestRenewedLeaseKeepsTheRunAlive(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "echo ready; until [ -e $DIR/done ]; do sleep 0.02; done")
	dir := t.TempDir()
	f.task.Flow.Exec.Env = map[string]string{"DIR": dir}
	first := time.Now().Add(10 * time.Second)
	f.task.Lease = executor.NewLease(first)
	f.task.Log = &watcher{next: f.log, mark: "ready", found: func() { f.task.Lease.Extend(first.Add(time.Minute)) }}
	time.AfterFunc(time.Until(first)+300*time.Millisecond, func() { _ = os.WriteFile(dir+"/done", nil, 0o600) })
	if result := f.Execute(t.Context(), f.task); result.Err != nil {
		t.Errorf("got %+v", result)
	}
}

func TestDeadSupervisorFailsItsRunsAndTheNextOneRuns(t *testing.T) {
	t.Parallel()
	own, err := supervisor.Start(supervisor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	f := newFixture(t, "echo ready; exec sleep 300", func(cfg *subprocess.Config) { cfg.Supervisor = own })
	f.task.Log = &watcher{next: f.log, mark: "ready", found: func() { _ = syscall.Kill(own.PID(), syscall.SIGKILL) }}
	if result := f.Execute(t.Context(), f.task); result.Reason != store.ReasonError || !strings.Contains(result.Err.Error(), "supervisor is gone") {
		t.Errorf("got %+v", result)
	}
	f.task.Flow.Exec.Command = []string{"true"}
	if result, _ := f.run(t); result.Err != nil {
		t.Errorf("the next: %+v", result)
	}
}

func TestBadCommandsDoNotDisturbAHundredOthersBesideThem(t *testing.T) {
	t.Parallel()
	limits := &store.Limits{Memory: 64 << 20, Processes: 20, OpenFiles: 64, FileSize: 1 << 20, Output: 1 << 20, CPU: store.Duration(time.Second)}
	bad := []string{
		"exec yes", "while :; do :; done", "head -c 90000000 /dev/zero | tail -c 90000000 | sleep 300",
		"f() { [ $1 -gt 8 ] || { f $(($1+1)) | f $(($1+1)) & }; sleep 300; }; f 0", "head -c 3000000 /dev/zero >large", "setsid sleep 300 & exit 1", "kill -9 $$",
	}
	var all sync.WaitGroup
	for _, script := range bad {
		f := newFixture(t, script)
		f.task.Flow.Exec.Limits = limits
		all.Go(func() {
			ctx, cancel := context.WithTimeoutCause(t.Context(), patience, executor.ErrTimeout)
			defer cancel()
			if result := f.Execute(ctx, f.task); result.Err == nil {
				t.Errorf("%s succeeded", script)
			}
		})
	}
	fine := newFixture(t, "echo fine; cat")
	for i := range 100 {
		all.Go(func() {
			task := fine.task
			log := executor.NewTail(0)
			task.Log, task.Params = log, fmt.Appendf(nil, "%d", i)
			if result := fine.Execute(t.Context(), task); result.Err != nil || string(log.Snapshot()) != fmt.Sprintf("fine\n%d", i) {
				t.Errorf("got %+v, %q", result, log.Snapshot())
			}
		})
	}
	all.Wait()
}

func TestCommandRunsAsTheUserThatTheOperatorHasSet(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can change to another user")
	}
	nobody := uint32(65534)
	f := newFixture(t, `id -u; echo 42 >"$SYSTOLE_CURSOR_OUT"; mkdir -p a/b && echo own >a/b/file && chmod 0 a/b`, func(cfg *subprocess.Config) {
		cfg.User, cfg.Group = &nobody, &nobody
		cfg.TempDir = sharedTemp(t)
	})
	f.task.Params = []byte(`{}`)
	result, log := f.run(t)
	if result.Reason == store.ReasonRefused && strings.Contains(result.Err.Error(), "not permitted") {
		t.Skip("this root may not change to another user")
	}
	if result.Err != nil || log != "65534\n" || *result.Cursor != "42" {
		t.Errorf("got %+v, %q", result, log)
	}
}

// sharedTemp is a folder that every user can get to, unlike t.TempDir.
func sharedTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "systole-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, _ := os.ReadDir(dir)
		if len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		_ = os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
