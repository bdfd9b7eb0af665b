package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// Modules of a few bytes, by hand: a type, a function, a memory of one page, and what _start does.
const (
	moduleHead = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" +
		"\x07\x13\x02\x06_start\x00\x00\x06memory\x02\x00"
	// loop br 0 end
	loopModule = moduleHead + "\x0a\x09\x01\x07\x00" + "\x03\x40\x0c\x00\x0b\x0b"
	// loop, as long as memory.grow by 16 pages gives something else than -1; then unreachable
	growModule = moduleHead + "\x0a\x11\x01\x0f\x00" + "\x03\x40\x41\x10\x40\x00\x41\x7f\x47\x0d\x00\x0b\x00\x0b"
)

// R3.4: flows that loop, take memory without end, or call where they must not, end by themselves or at their deadline; a
// hundred others beside them finish undisturbed, and the worker is left as it was.
func TestHostileModulesAndRequestsDisturbNobody(t *testing.T) {
	t.Parallel()
	const others = 100
	s := newStand(t)
	modules := folder(t, map[string]string{"loop.wasm": loopModule, "grow.wasm": growModule})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(service.Close)
	w := s.worker("w1", "SYSTOLE_WORKER__CONCURRENCY=24", "SYSTOLE_EXECUTOR__WASM__DIR="+modules, "SYSTOLE_EXECUTOR__HTTP__ALLOW=127.0.0.0/8")
	w.awaitReady()

	module := func(name string, timeout time.Duration) store.DataFlow {
		return store.DataFlow{WASM: &store.WASMSpec{Module: name, Memory: 16 << 20}, Timeout: store.Duration(timeout)}
	}
	call := func(url string) store.DataFlow { return store.DataFlow{HTTP: &store.HTTPSpec{URL: url}} }
	hostile := map[string]struct {
		flow         store.DataFlow
		reason, says string
	}{
		"warm":     {module("grow.wasm", time.Minute), store.ReasonError, "unreachable (it had 15424KiB of its 16MiB of memory)"}, // alone, by the first beat
		"loop":     {module("loop.wasm", 2*time.Second), store.ReasonTimeout, ""},
		"grow":     {module("grow.wasm", time.Minute), store.ReasonError, "unreachable (it had 15424KiB of its 16MiB of memory)"},
		"metadata": {call("http://169.254.169.254/latest/meta-data/"), store.ReasonRefused, "metadata address"},
		"redirect": {call(service.URL), store.ReasonError, "a redirect to http://169.254.169.254/latest/meta-data/, which is not followed"},
	}
	put := func(name string) {
		flow := hostile[name].flow
		flow.Name = name
		s.putFlow(flow)
	}
	put("warm")
	s.publish("")
	s.settled(1)
	before := openFiles(t, w)
	for name := range hostile {
		put(name)
	}
	for i := range others {
		s.putFlow(store.DataFlow{Name: flowName("other", i), Function: &store.FunctionSpec{Name: "echo"}, Timeout: store.Duration(time.Minute)})
	}
	s.publish("")
	s.settled(2)
	if ran := s.successes(); len(ran) != others {
		t.Errorf("%d others succeeded, want %d", len(ran), others)
	}
	for name, want := range hostile {
		run := s.runs(store.RunFilter{Flow: name})[0]
		if run.Status != store.StatusFailed || run.Reason != want.reason || !strings.Contains(run.Error, want.says) {
			t.Errorf("%s: got %+v, want %s and %q", name, run, want.reason, want.says)
		}
	}
	pollUntil(t, "the worker has no more open files than before", func() bool { return openFiles(t, w) <= before })
}

// openFiles counts the open files of a process: not the connections, which are kept for a while and used again.
func openFiles(t *testing.T, d *daemon) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid)
	open, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, entry := range open {
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && !strings.HasPrefix(target, "socket:") {
			files++
		}
	}
	return files
}
