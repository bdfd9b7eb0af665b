package subprocess_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

// workerEnv tells the test binary to be a worker that is going to be killed: it holds the TempDir.
const workerEnv = "SUBPROCESS_TEST_WORKER"

func TestMain(m *testing.M) {
	supervisor.Main()
	if dir := os.Getenv(workerEnv); dir != "" {
		beWorker(dir)
	}
	os.Setenv("DATABASE_PASSWORD", "hunter2") // of the worker, and not for its flows
	var err error
	if shared, err = supervisor.Start(supervisor.Config{Logger: slog.New(slog.DiscardHandler)}); err != nil && runtime.GOOS == "linux" {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if shared != nil {
			_ = shared.Close()
		}
		os.Exit(code)
	}), goleak.IgnoreCurrent())
}

// shared is the supervisor of all tests that need none of their own; nil where there can be none.
var shared *supervisor.Supervisor

// fixture is an Executor with a TempDir of its own, and a Task of the kind `exec`.
type fixture struct {
	*subprocess.Executor
	tempDir string
	task    executor.Task
	log     *executor.Tail
}

// newFixture gives a fixture that runs script with sh, under a supervisor where there is one. Where a test needs TERM to
// fail, KILL follows soon.
func newFixture(t *testing.T, script string, changes ...func(*subprocess.Config)) *fixture {
	t.Helper()
	f := &fixture{tempDir: t.TempDir(), log: executor.NewTail(0)}
	cfg := subprocess.Config{
		Dir: t.TempDir(), TempDir: f.tempDir, KillGrace: 300 * time.Millisecond, Logger: slog.New(slog.DiscardHandler), Supervisor: shared,
	}
	for _, change := range changes {
		change(&cfg)
	}
	var err error
	f.Executor, err = subprocess.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	flow := store.DataFlow{Name: "orders", Exec: &store.ExecSpec{Command: []string{"sh", "-c", script}}}
	f.task = executor.Task{
		Flow: flow.WithDefaults(), RunID: "orders~1", OccurrenceID: "orders~0", Attempt: 2, Token: "1700000000000000",
		Worker: "w1", Log: f.log,
	}
	t.Cleanup(func() { f.checkNothingLeft(t) })
	return f
}

func (f *fixture) checkNothingLeft(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(f.tempDir)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v, %v", left, err)
	}
}

// run executes the task to its end.
func (f *fixture) run(t *testing.T) (result executor.Result, log string) {
	t.Helper()
	result = f.Execute(t.Context(), f.task)
	return result, string(f.log.Snapshot())
}

// interrupt executes the task, and ends its context with cause as soon as the command has written "ready".
func (f *fixture) interrupt(t *testing.T, cause error) (result executor.Result, log string) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	f.task.Log = &watcher{next: f.log, mark: "ready", found: func() { cancel(cause) }}
	return f.Execute(ctx, f.task), string(f.log.Snapshot())
}

// watcher calls found when mark has passed through it.
type watcher struct {
	next  io.Writer
	mark  string
	found func()

	mu   sync.Mutex
	seen []byte
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.found != nil {
		if w.seen = append(w.seen, p...); bytes.Contains(w.seen, []byte(w.mark)) {
			w.found()
			w.found = nil
		}
	}
	return w.next.Write(p)
}

// patience is how long something may take on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		case <-tick.C:
		}
	}
}

// gone reports whether the process has ended. Who reaps an orphan is not this program's affair, so a zombie counts.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// pids gives the numbers in the lines that start with "pid ".
func pids(t *testing.T, log string) []int {
	t.Helper()
	var found []int
	for line := range strings.Lines(log) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "pid "); ok {
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, pid)
		}
	}
	return found
}

// R3.3
func TestCommandSucceedsWithExitCode0AndItsOutputIsInTheLog(t *testing.T) {
	t.Parallel()
	result, log := newFixture(t, "echo out; echo err >&2").run(t)
	if result.Err != nil || result.Cursor != nil {
		t.Errorf("got %+v", result)
	}
	if !strings.Contains(log, "out\n") || !strings.Contains(log, "err\n") {
		t.Errorf("log is %q", log)
	}
}

// R3.4
func TestCommandThatFailsNamesItsExitCodeOrSignalAndItsLastErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, script, want string }{
		{"exit code", "echo fine; echo no such table >&2; exit 3", "command ended with exit code 3: no such table"},
		{"nothing on standard error", "echo fine; exit 1", "command ended with exit code 1"},
		{"signal", "kill -SEGV $$", "command was ended by signal SIGSEGV (segmentation fault)"},
		{"killed", "echo oops >&2; kill -KILL $$", "command was ended by signal SIGKILL (killed): oops"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			result, _ := newFixture(t, c.script).run(t)
			if result.Reason != store.ReasonError || result.Permanent || fmt.Sprint(result.Err) != c.want {
				t.Errorf("got %+v, want error %q", result, c.want)
			}
		})
	}
}

func TestCommandThatFailsKeepsOnlyTheEndOfLongErrors(t *testing.T) {
	t.Parallel()
	result, _ := newFixture(t, "yes some complaint | head -n 10000 >&2; echo the cause >&2; exit 1").run(t)
	text := fmt.Sprint(result.Err)
	if len(text) > executor.MaxText || !strings.HasSuffix(text, "some complaint\nthe cause") || !strings.Contains(text, "bytes cut") {
		t.Errorf("error of %d bytes: %q", len(text), text)
	}
}

func TestCommandGetsACleanEnvironment(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "env; echo pwd $(pwd)")
	f.task.Flow.Exec.Env = map[string]string{"REGION": "eu", "LANG": "de_DE.UTF-8"}
	f.task.Slot = time.Date(2026, 11, 2, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	f.task.Deadline = f.task.Slot.Add(5 * time.Minute)
	f.task.Cursor, f.task.TraceParent = "41", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	result, log := f.run(t)
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	env := map[string]string{}
	for line := range strings.Lines(log) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[name] = value
		}
	}
	temp := env["TMPDIR"]
	if !strings.HasPrefix(temp, f.tempDir) || !strings.Contains(log, "pwd "+temp+"\n") {
		t.Errorf("TMPDIR is %q, log %q", temp, log)
	}
	for name, want := range map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": temp, "TMPDIR": temp, "PWD": temp, "LANG": "de_DE.UTF-8", "REGION": "eu",
		"SYSTOLE_FLOW": "orders", "SYSTOLE_GROUP": "default", "SYSTOLE_RUN_ID": "orders~1", "SYSTOLE_OCCURRENCE_ID": "orders~0",
		"SYSTOLE_SLOT": "2026-11-02T11:00:00Z", "SYSTOLE_DEADLINE": "2026-11-02T11:05:00Z", "SYSTOLE_ATTEMPT": "2",
		"SYSTOLE_TOKEN": "1700000000000000", "SYSTOLE_WORKER": "w1", "SYSTOLE_CURSOR": "41",
		"SYSTOLE_CURSOR_OUT": filepath.Join(filepath.Dir(temp), "cursor"),
		"TRACEPARENT":        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	} {
		if env[name] != want {
			t.Errorf("%s = %q, want %q", name, env[name], want)
		}
		delete(env, name)
	}
	for _, shell := range []string{"SHLVL", "_", "OLDPWD"} { // a shell's own
		delete(env, shell)
	}
	if len(env) > 0 {
		t.Errorf("more than that: %v", env)
	}
}

func TestCommandInheritsNoDescriptorOfTheWorker(t *testing.T) {
	t.Parallel()
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	result, log := newFixture(t, "exec ls /proc/self/fd").run(t)
	if got := strings.Fields(log); result.Err != nil || !slices.Equal(got, []string{"0", "1", "2", "3"}) { // 3 is ls' own
		t.Errorf("descriptors %v, %v", got, result.Err)
	}
}

func TestCommandGetsParamsOnStandardInput(t *testing.T) {
	t.Parallel()
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	for _, c := range []struct{ name, script, params, want string }{
		{"params", "cat", `{"since":"monday"}`, `{"since":"monday"}`},
		{"none", "cat; readlink /proc/self/fd/0", "", "/dev/null\n"},
		{"more than a pipe holds", "wc -c", large, strconv.Itoa(len(large)) + "\n"},
		{"more than a pipe holds, unread", "echo not read", large, "not read\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, c.script)
			f.task.Params = []byte(c.params)
			if result, log := f.run(t); result.Err != nil || log != c.want {
				t.Errorf("got %q, %v", log, result.Err)
			}
		})
	}
}

func TestCommandLeavesItsCursorInAFile(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		name, script string
		cursor       *string
		err          string // part of the error; empty for a success
	}{
		{"none", "true", nil, ""},
		{"as echo writes it", `echo 42 > "$SYSTOLE_CURSOR_OUT"`, text("42"), ""},
		{"as printf writes it", `printf 'a\nb' > "$SYSTOLE_CURSOR_OUT"`, text("a\nb"), ""},
		{"moved into place", `echo 42 > c; mv c "$SYSTOLE_CURSOR_OUT"`, text("42"), ""},
		{"empty: start over", `: > "$SYSTOLE_CURSOR_OUT"`, text(""), ""},
		{"of the largest size", `head -c 65536 /dev/zero | tr '\0' c > "$SYSTOLE_CURSOR_OUT"`, text(strings.Repeat("c", 65536)), ""},
		{"the run failed", `echo 42 > "$SYSTOLE_CURSOR_OUT"; exit 1`, nil, "exit code 1"},
		{"too large", `head -c 70000 /dev/zero > "$SYSTOLE_CURSOR_OUT"`, nil, "more than 65536 bytes"},
		{"a link to a secret", `ln -s /etc/passwd "$SYSTOLE_CURSOR_OUT"`, nil, "found a symbolic link, allowed is a regular file"},
		{"a pipe that nobody writes to", `mkfifo "$SYSTOLE_CURSOR_OUT"`, nil, "found a pipe, allowed is a regular file"},
		{"a folder", `mkdir "$SYSTOLE_CURSOR_OUT"`, nil, "found a folder, allowed is a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			result, _ := newFixture(t, c.script).run(t)
			if (result.Err != nil) != (c.err != "") || !strings.Contains(fmt.Sprint(result.Err), c.err) {
				t.Errorf("error is %v, want %q", result.Err, c.err)
			}
			if (result.Cursor == nil) != (c.cursor == nil) || (c.cursor != nil && *result.Cursor != *c.cursor) {
				t.Errorf("cursor is %v", result.Cursor)
			}
		})
	}
}

func TestNewNamesTheFieldAtFault(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]subprocess.Config{
		"KillGrace": {KillGrace: -1},
		"Dir":       {Dir: "/no/such/folder"},
		"TempDir":   {TempDir: "/etc/passwd"},
	} {
		if _, err := subprocess.New(cfg); err == nil || !strings.Contains(err.Error(), ": "+field+": ") {
			t.Errorf("%s: got error %v", field, err)
		}
	}
}

// interruptAtOnce executes the task with a context that is cancelled soon.
func (f *fixture) interruptAtOnce(t *testing.T) (result executor.Result, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, executor.ErrCancelled)
	defer cancel()
	return f.Execute(ctx, f.task), string(f.log.Snapshot())
}
