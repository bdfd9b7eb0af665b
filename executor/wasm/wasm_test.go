package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/secrets"
	"github.com/systole-run/systole/executor/wasm"
	"github.com/systole-run/systole/store"
)

// patience is how long something may take on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

// dir holds the tests' modules.
var dir string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	made, err := os.MkdirTemp("", "systole-wasm-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(made)
	if dir = made; !build("guest.wasm", "./testdata/guest") {
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build builds a module as the documentation says.
func build(name, source string) bool {
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, name), source)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", cmd, err, text)
		return false
	}
	return true
}

func newExecutor(t testing.TB, cfg wasm.Config) *wasm.Executor {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = dir
	}
	e, err := wasm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// shared is used by all tests of the guest, so that it is compiled once. It lets flows read what is in the folder open.
var shared = sync.OnceValue(func() *wasm.Executor {
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		panic(err)
	}
	e, err := wasm.New(wasm.Config{Dir: dir, Folders: []string{open}, Output: 1 << 20})
	if err != nil {
		panic(err)
	}
	return e
})

func guest(args ...string) store.DataFlow {
	return store.DataFlow{Name: "orders", WASM: &store.WASMSpec{Module: "guest.wasm", Args: args}}.WithDefaults()
}

// run executes a flow, with a log of its own.
func run(t testing.TB, e executor.FlowExecutor, flow store.DataFlow, change ...func(*executor.Task)) (executor.Result, string) {
	t.Helper()
	return runIn(t.Context(), e, flow, change...)
}

func runIn(ctx context.Context, e executor.FlowExecutor, flow store.DataFlow, change ...func(*executor.Task)) (executor.Result, string) {
	log := executor.NewTail(0)
	task := executor.Task{Flow: flow, RunID: "orders~1", OccurrenceID: "orders~0", Attempt: 2, Token: "1700000000000000", Worker: "w1", Log: log}
	for _, c := range change {
		c(&task)
	}
	result := e.Execute(ctx, task)
	return result, string(log.Snapshot())
}

func TestAModuleGetsItsParamsAndTheRunAndNothingOfTheWorkers(t *testing.T) {
	t.Setenv("WORKER_SECRET", "hunter22")
	result, log := run(t, shared(), guest("params"), func(task *executor.Task) { task.Params = []byte(`{"day":"monday"}`) })
	if result.Err != nil || log != `{"day":"monday"}` {
		t.Errorf("got %+v and %q", result, log)
	}
	flow := guest("env")
	flow.WASM.Env = map[string]string{"REGION": "eu"}
	result, log = run(t, shared(), flow, func(task *executor.Task) {
		task.Cursor, task.Slot = "41", time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	})
	for _, want := range []string{"REGION=eu", "SYSTOLE_FLOW=orders", "SYSTOLE_RUN_ID=orders~1", "SYSTOLE_ATTEMPT=2", "SYSTOLE_CURSOR=41", "SYSTOLE_SLOT=2026-11-02T12:00:00Z"} {
		if !strings.Contains(log, want+"\n") {
			t.Errorf("%s is not in its environment: %+v\n%s", want, result, log)
		}
	}
	if strings.Contains(log, "hunter22") || strings.Contains(log, "PATH=") {
		t.Errorf("it has the worker's environment:\n%s", log)
	}
}

func TestAnAnswerInJSONCarriesMessageAndCursor(t *testing.T) {
	t.Parallel()
	result, _ := run(t, shared(), guest("print", `{"message":"7 orders","cursor":{"after":41}}`))
	if result.Err != nil || result.Message != "7 orders" || result.Cursor == nil || *result.Cursor != `{"after":41}` {
		t.Errorf("got %+v", result)
	}
	for _, text := range []string{"hello", `{"message":"a"} and more`, strings.Repeat(" ", wasm.MaxAnswer) + `{"message":"a"}`} {
		if result, _ := run(t, shared(), guest("print", text)); result.Err != nil || result.Message != "" || result.Cursor != nil {
			t.Errorf("%.20q: got %+v", text, result)
		}
	}
}

func TestAModuleThatFailsSaysHow(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"exit":  {"module ended with exit code 3", "of its 128MiB of memory", "no such table"},
		"panic": {"module ended with exit code 2", "panic: boom"},
		"none":  {"module ended with exit code 2", "unknown: none"},
	} {
		result, log := run(t, shared(), guest(name))
		for _, text := range want {
			if result.Err == nil || result.Reason != store.ReasonError || result.Permanent || !strings.Contains(result.Err.Error(), text) {
				t.Errorf("%s: got %+v, want an error that says %q", name, result, text)
			}
		}
		if !strings.Contains(log, strings.Split(want[len(want)-1], ": ")[0]) {
			t.Errorf("%s: the log is %q", name, log)
		}
	}
}

func TestAnEndlessModuleEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"loop", "sleep"} {
		for reason, cause := range map[string]error{store.ReasonTimeout: executor.ErrTimeout, store.ReasonCancelled: executor.ErrCancelled} {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, cause)
			flow := guest(what)
			flow.WASM.Clock = true
			started := time.Now()
			result, _ := runIn(ctx, shared(), flow)
			cancel()
			if took := time.Since(started); result.Reason != reason || !errors.Is(result.Err, cause) || took > patience {
				t.Errorf("%s: got %+v after %s", what, result, took)
			}
		}
	}
}

func TestAModuleGetsNoMoreMemoryThanItsLimit(t *testing.T) {
	t.Parallel()
	flow := guest("grow")
	flow.WASM.Memory = 16 << 20
	result, log := run(t, shared(), flow)
	if result.Err == nil || result.Reason != store.ReasonError || !strings.Contains(result.Err.Error(), "of its 16MiB of memory") || !strings.Contains(log, "out of memory") {
		t.Errorf("got %+v and %q", result, log)
	}
	if result, _ := run(t, shared(), guest("print", "others go on")); result.Err != nil {
		t.Errorf("another run: %+v", result)
	}
	flow.WASM.Memory = 256 << 20
	if result, _ := run(t, shared(), flow); result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), "executor.wasm.memory") {
		t.Errorf("more than the operator allows: %+v", result)
	}
}

func TestAModuleThatWritesTooMuchIsEnded(t *testing.T) {
	t.Parallel()
	result, log := run(t, shared(), guest("flood"))
	if result.Err == nil || result.Reason != store.ReasonError || !strings.Contains(result.Err.Error(), "limit of 1MiB (executor.wasm.output)") {
		t.Errorf("got %+v", result)
	}
	if len(log) > executor.DefaultLogBytes+100 {
		t.Errorf("the log has %d bytes", len(log))
	}
}

func TestAModuleKnowsTheTimeOnlyIfItMay(t *testing.T) {
	t.Parallel()
	flow := guest("clock")
	if result, log := run(t, shared(), flow); result.Err != nil || strings.TrimSpace(log) == fmt.Sprint(time.Now().Year()) {
		t.Errorf("got %+v and %q", result, log)
	}
	flow.WASM.Clock = true
	if result, log := run(t, shared(), flow); result.Err != nil || strings.TrimSpace(log) != fmt.Sprint(time.Now().Year()) {
		t.Errorf("with a clock: got %+v and %q", result, log)
	}
}

func TestRandomNumbersDifferFromRunToRun(t *testing.T) {
	t.Parallel()
	_, first := run(t, shared(), guest("random"))
	_, second := run(t, shared(), guest("random"))
	if first == second || !strings.Contains(first, "99") {
		t.Errorf("twice %q", first)
	}
}

func TestAModuleReachesNoNetworkAndStartsNothing(t *testing.T) {
	t.Parallel()
	result, log := run(t, shared(), guest("reach"))
	if result.Err != nil || !strings.Contains(log, "dial false\n") || !strings.Contains(log, "exec false\n") {
		t.Errorf("got %+v and %q", result, log)
	}
}

func TestAModuleReadsTheFoldersThatItIsGivenAndWritesNothing(t *testing.T) {
	t.Parallel()
	e := shared()
	data, err := os.MkdirTemp(filepath.Join(dir, "open"), "")
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	for path, content := range map[string]string{filepath.Join(data, "in", "orders"): "41", filepath.Join(outside, "secret"): "hunter22"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(data, "in", "link")), os.Symlink(outside, filepath.Join(data, "out")),
		syscall.Mkfifo(filepath.Join(data, "in", "pipe"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	with := func(host string, args ...string) store.DataFlow {
		flow := guest(args...)
		flow.WASM.Folders = map[string]string{"/data": host}
		return flow
	}
	in := filepath.Join(data, "in")
	result, log := run(t, e, with(in, "read", "/data/orders", "/data/link", "/data/pipe", "/data/../../secret", "/etc/hostname", filepath.Join(outside, "secret")))
	if result.Err != nil || !strings.HasPrefix(log, `/data/orders: "41" <nil>`) || strings.Contains(log, "hunter22") || strings.Count(log, `""`) != 5 {
		t.Errorf("reading: %+v\n%s", result, log)
	}
	result, log = run(t, e, with(in, "write", "/data/orders", "/data/new", "/new"))
	if result.Err != nil || strings.Contains(log, "true") {
		t.Errorf("writing: %+v\n%s", result, log)
	}
	if text, err := os.ReadFile(filepath.Join(in, "orders")); err != nil || string(text) != "41" {
		t.Errorf("it was written to: %q, %v", text, err)
	}
	if result, log = run(t, e, with(in, "list", "/data")); result.Err != nil || !strings.Contains(log, "orders") {
		t.Errorf("listing: %+v\n%s", result, log)
	}
	for name, host := range map[string]string{"another folder": outside, "the folder above": dir, "a link out": filepath.Join(data, "out"), "none": filepath.Join(data, "missing"), "a file": filepath.Join(in, "orders")} {
		if result, _ := run(t, e, with(host, "list", "/data")); result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), host) {
			t.Errorf("%s: got %+v", name, result)
		}
	}
	if result, _ := run(t, newExecutor(t, wasm.Config{}), with(in, "list", "/data")); result.Reason != store.ReasonRefused || !strings.Contains(result.Err.Error(), "executor.wasm.folders allows none") {
		t.Errorf("where none is allowed: %+v", result)
	}
}

func TestAModuleThatHoardsFilesGetsNoMoreOfThem(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	flow := guest("hoard", "/data/file")
	flow.WASM.Folders = map[string]string{"/data": folder}
	e := newExecutor(t, wasm.Config{Folders: []string{folder}})
	for range 2 { // the second run has its own
		result, log := run(t, e, flow)
		if result.Err != nil || !strings.HasPrefix(log, "true open /data/file: ") || !strings.HasSuffix(log, "\n<nil>\n") {
			t.Fatalf("got %+v and %q, want some files, an error, and one more after one was closed", result, log)
		}
	}
}

func TestAModuleGetsItsSecretsAndTheyShowNowhere(t *testing.T) {
	t.Parallel()
	opened, err := secrets.New(secrets.Config{Allow: []string{"default/orders env:TOKEN"}, LookupEnv: func(string) (string, bool) { return "tok-3n-hunter22", true }})
	if err != nil {
		t.Fatal(err)
	}
	flow := guest("env")
	flow.WASM.Env = map[string]string{"TOKEN": "env:TOKEN"}
	if result, log := run(t, opened.Guard(shared()), flow); result.Err != nil || !strings.Contains(log, "TOKEN=[redacted]\n") || strings.Contains(log, "hunter22") {
		t.Errorf("got %+v and %q", result, log)
	}
	if result, _ := run(t, shared(), flow); result.Reason != store.ReasonRefused || !result.Permanent {
		t.Errorf("without secrets: %+v", result)
	}
}

// Modules of a few bytes, by hand: the magic number and version, and then sections.
const (
	empty      = "\x00asm\x01\x00\x00\x00"
	hugeMemory = empty + "\x05\x05\x01\x00\x80\x80\x02" + "\x01\x04\x01\x60\x00\x00" // sections out of order, and 32768 pages
	importer   = empty + "\x01\x04\x01\x60\x00\x00" + "\x02\x0a\x01\x03env\x02go\x00\x00" + "\x07\x0a\x01\x06_start\x00\x00"
	trap       = empty + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x07\x0a\x01\x06_start\x00\x00" + "\x0a\x05\x01\x03\x00\x00\x0b"
)

func TestAModuleThatCannotRunIsRefusedForGood(t *testing.T) {
	t.Parallel()
	modules := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside.wasm")
	for path, content := range map[string]string{
		"text.wasm": "#!/bin/sh\n", "empty.wasm": empty, "cut.wasm": trap[:len(trap)-2], "huge.wasm": hugeMemory, "importer.wasm": importer,
		"large.wasm": empty + strings.Repeat("\x00", 2000), outside: trap,
	} {
		if !filepath.IsAbs(path) {
			path = filepath.Join(modules, path)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(outside, filepath.Join(modules, "link.wasm")), syscall.Mkfifo(filepath.Join(modules, "pipe.wasm"), 0o600)); err != nil {
		t.Fatal(err)
	}
	e := newExecutor(t, wasm.Config{Dir: modules, MaxModule: 1000})
	for name, says := range map[string]string{
		"text": "no valid module", "empty": "exports no _start", "cut": "no valid module", "huge": "no valid module", "importer": "an import of env.go",
		"large": "executor.wasm.max_module", "missing": "no such file", "link": "escapes", "pipe": "not a regular file",
	} {
		flow := guest()
		flow.WASM.Module = name + ".wasm"
		result, _ := run(t, e, flow)
		if result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), says) {
			t.Errorf("%s: got %+v, want an error that says %q", name, result, says)
		}
		var invalid store.InvalidError
		if err := e.Check(flow); !errors.As(err, &invalid) || !strings.Contains(invalid[0].Found, says) {
			t.Errorf("%s: Check gives %v", name, err)
		}
	}
	if err := wasm.CheckFile(filepath.Join(modules, "empty.wasm")); err == nil {
		t.Error("CheckFile finds nothing wrong with an empty module")
	}
	if err := errors.Join(wasm.CheckFile(filepath.Join(dir, "guest.wasm")), shared().Check(guest())); err != nil {
		t.Errorf("the guest: %v", err)
	}
}

// A module of a few bytes must not have the runtime make room for what it merely announces, nor grow what is not memory.
func TestAModuleCostsNoMoreThanItsSizeAndMemory(t *testing.T) {
	t.Parallel()
	const (
		lots    = "\xff\xff\xff\xff\x0f" // 2^32-1
		types   = "\x01\x04\x01\x60\x00\x00"
		start   = "\x03\x02\x01\x00"
		exports = "\x07\x0a\x01\x06_start\x00\x00"
		code    = "\x0a\x04\x01\x02\x00\x0b"
	)
	modules := t.TempDir()
	e := newExecutor(t, wasm.Config{Dir: modules})
	for name, c := range map[string]struct{ module, says string }{
		"params":    {empty + "\x01\x08\x01\x60" + lots + "\x00", "parameters announced"},
		"results":   {empty + "\x01\x25\x01\x60\x00\x21" + strings.Repeat("\x7f", 33), "33 results"},
		"imports":   {empty + types + "\x02\x05" + lots, "parts announced"},
		"functions": {empty + types + "\x03\x05" + lots, "parts announced"},
		"exports":   {empty + types + "\x07\x05" + lots, "parts announced"},
		"names":     {empty + "\x00\x0c\x04name\x01\x05" + lots, "names announced"},
		"locals":    {empty + types + start + exports + "\x0a\x0a\x01\x08\x01" + lots + "\x7f\x0b", "locals in a function"},
		"table":     {empty + types + start + "\x04\x07\x01\x70\x00\x80\x80\x80\x40" + exports + code, "elements in tables"},
		"elements":  {empty + types + start + "\x04\x04\x01\x70\x00\x00" + exports + "\x09\x0a\x01\x00\x41\x00\x0b" + lots + code, "elements announced"},
		"cut":       {empty + "\x01\x7f\x01", "ends too early"},
	} {
		if err := os.WriteFile(filepath.Join(modules, name+".wasm"), []byte(c.module), 0o600); err != nil {
			t.Fatal(err)
		}
		flow := guest()
		flow.WASM.Module = name + ".wasm"
		if result, _ := run(t, e, flow); result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), c.says) {
			t.Errorf("%s: got %+v, want an error that says %q", name, result, c.says)
		}
	}
	// It traps unless table.grow by 2^28 elements has failed, and one by 10 has not.
	const grows = "\x0a\x21\x01\x1f\x00" +
		"\xd2\x00\x41\x80\x80\x80\x80\x01\xfc\x0f\x00\x41\x7f\x47\x04\x40\x00\x0b" +
		"\xd2\x00\x41\x0a\xfc\x0f\x00\x04\x40\x00\x0b" + "\x0b"
	grower := empty + types + start + "\x04\x04\x01\x70\x00\x00" + exports + "\x09\x05\x01\x03\x00\x01\x00" + grows
	if err := os.WriteFile(filepath.Join(modules, "grower.wasm"), []byte(grower), 0o600); err != nil {
		t.Fatal(err)
	}
	flow := guest()
	flow.WASM.Module = "grower.wasm"
	if result, log := run(t, e, flow); result.Err != nil {
		t.Errorf("a table that grows: got %+v and %q", result, log)
	}
}

func TestATrapIsTheRunsFailure(t *testing.T) {
	t.Parallel()
	modules := t.TempDir()
	if err := os.WriteFile(filepath.Join(modules, "trap.wasm"), []byte(trap), 0o600); err != nil {
		t.Fatal(err)
	}
	flow := guest()
	flow.WASM.Module = "trap.wasm"
	result, log := run(t, newExecutor(t, wasm.Config{Dir: modules}), flow)
	if result.Err == nil || result.Reason != store.ReasonError || !strings.Contains(result.Err.Error(), "module was ended: wasm error: unreachable") || !strings.Contains(log, "wasm stack trace") {
		t.Errorf("got %+v and %q", result, log)
	}
}

func TestModulesThatAreNotKeptRunAllTheSame(t *testing.T) {
	t.Parallel()
	modules := t.TempDir()
	e := newExecutor(t, wasm.Config{Dir: modules, MaxCached: 1})
	var runs sync.WaitGroup
	for i := range 4 { // which differ in a section of no meaning
		if err := os.WriteFile(filepath.Join(modules, fmt.Sprintf("trap%d.wasm", i)), []byte(trap+"\x00\x03\x01n"+fmt.Sprint(i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 {
		name := fmt.Sprintf("trap%d.wasm", i%4)
		runs.Go(func() {
			flow := guest()
			flow.WASM.Module = name
			for range 5 {
				if result, _ := run(t, e, flow); result.Err == nil || !strings.Contains(result.Err.Error(), "unreachable") {
					t.Errorf("%s: got %+v", name, result)
				}
			}
		})
	}
	runs.Wait()
}

func TestBadModulesDoNotDisturbAHundredOthersBesideThem(t *testing.T) {
	t.Parallel()
	var runs sync.WaitGroup
	for _, bad := range []string{"loop", "grow", "flood", "panic"} {
		runs.Go(func() {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, executor.ErrTimeout)
			defer cancel()
			flow := guest(bad)
			flow.WASM.Memory = 32 << 20
			if result, _ := runIn(ctx, shared(), flow); result.Err == nil {
				t.Errorf("%s succeeds", bad)
			}
		})
	}
	slots := make(chan struct{}, 8)
	for i := range 100 {
		runs.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			text := fmt.Sprintf(`{"message":"run %d"}`, i)
			if result, _ := run(t, shared(), guest("print", text)); result.Err != nil || result.Message != fmt.Sprint("run ", i) {
				t.Errorf("run %d: got %+v", i, result)
			}
		})
	}
	runs.Wait()
}

func TestNewNamesTheFieldAtFault(t *testing.T) {
	t.Parallel()
	for field, cfg := range map[string]wasm.Config{
		"Memory": {Memory: -1}, "Output": {Output: -1}, "MaxModule": {MaxModule: -1}, "MaxCached": {MaxCached: -1}, "Folders": {Folders: []string{"data"}},
	} {
		if _, err := wasm.New(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	e := newExecutor(b, wasm.Config{})
	run(b, e, guest("print", "x")) // compiles it
	for b.Loop() {
		if result, _ := run(b, e, guest("print", "x")); result.Err != nil {
			b.Fatal(result.Err)
		}
	}
}
