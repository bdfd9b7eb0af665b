package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

// hostile is a flow that means harm, and what is to become of it.
type hostile struct {
	script string
	change func(*store.ExecSpec)
	reason string // empty for a success
	said   string // part of the error
}

func hostiles(outside string, port int) map[string]hostile {
	limits := func(l store.Limits) func(*store.ExecSpec) { return func(s *store.ExecSpec) { s.Limits = &l } }
	strict := func(s *store.ExecSpec) {
		s.Sandbox, s.Files = store.SandboxStrict, &store.ExecFiles{Write: []string{s.Env["DIR"]}}
		s.Env["OUTSIDE"], s.Env["PORT"] = outside, strconv.Itoa(port)
	}
	return map[string]hostile{
		"flood":   {"exec yes", limits(store.Limits{Output: 1 << 20}), store.ReasonLimit, "limit of output exceeded"},
		"bomb":    {"f() { [ $1 -gt 8 ] || { f $(($1+1)) & f $(($1+1)) & }; sleep 300; }; f 0", limits(store.Limits{Processes: 40}), store.ReasonLimit, "limit of processes exceeded"},
		"hog":     {"head -c 90000000 /dev/zero | tail -c 90000000 | sleep 300", limits(store.Limits{Memory: 48 << 20}), store.ReasonLimit, "limit of memory exceeded"},
		"files":   {"exec bash -c 'for i in {1..100000}; do exec {fd}</dev/null || exit 1; done'", limits(store.Limits{OpenFiles: 100}), store.ReasonLimit, "limit of open_files exceeded"},
		"loop":    {"while :; do :; done", limits(store.Limits{CPU: store.Duration(1e9)}), store.ReasonLimit, "limit of cpu exceeded"},
		"folder":  {"while :; do head -c 300000 /dev/zero >$(mktemp ./XXXXXX); done", limits(store.Limits{Folder: 2 << 20}), store.ReasonLimit, "limit of folder exceeded"},
		"holder":  {"(setsid sh -c 'trap \"\" TERM HUP; sleep 300' &); exit 0", nil, "", ""},
		"crash":   {"kill -SEGV $$", nil, store.ReasonError, "SIGSEGV"},
		"symlink": {"ln -s /etc/passwd \"$SYSTOLE_CURSOR_OUT\"; ln -s $DIR out", nil, store.ReasonError, "regular file"},
		"writer":  {"(: >$OUTSIDE/made) 2>/dev/null && echo made >>$DIR/harm; exit 1", strict, store.ReasonError, "exit code 1"},
		"caller":  {"exec bash -c '(exec 3<>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null && echo called >>$DIR/harm; exit 1'", strict, store.ReasonError, "exit code 1"},
	}
}

// R6.4: what one flow does to the machine or to others ends that flow only.
func TestHostileFlowsEndAloneAndLeaveNothing(t *testing.T) {
	t.Parallel()
	needsSupervisor(t)
	if host := supervisor.Probe(); host.Strict != nil || !exists("/bin/bash") {
		t.Skip("this host has no strict sandbox, or no bash: ", host.Strict)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := newStand(t)
	temp, outside := t.TempDir(), t.TempDir()
	w := s.worker("w1", "SYSTOLE_WORKER__CONCURRENCY=24", "SYSTOLE_EXECUTOR__EXEC__TEMP_DIR="+temp)
	w.awaitReady()
	all := hostiles(outside, listener.Addr().(*net.TCPAddr).Port)
	for name, bad := range all {
		spec := s.shell(bad.script)
		if bad.change != nil {
			bad.change(spec)
		}
		s.putFlow(store.DataFlow{Name: name, Exec: spec})
	}
	s.put("fine", 100, "echo fine")
	s.publish("")
	s.settled(1)

	succeeded := s.successes()
	for i := range 100 {
		if name := flowName("fine", i); succeeded[name] != 1 {
			t.Errorf("%s succeeded %d times", name, succeeded[name])
		}
	}
	for name, bad := range all {
		run := s.runs(store.RunFilter{Flow: name})[0]
		if run.Reason != bad.reason || !strings.Contains(run.Error, bad.said) {
			t.Errorf("%s: got %s %s %q", name, run.Status, run.Reason, run.Error)
		}
	}
	if harm := s.lines("harm"); len(harm) > 0 {
		t.Errorf("harm was done: %v", harm)
	}
	checkNothingLeft(t, w, temp, s.dir)
}

// checkNothingLeft looks for what runs may have left: folders, processes, and descriptors of the worker.
func checkNothingLeft(t *testing.T, w *daemon, temp, dir string) {
	t.Helper()
	if folders, err := os.ReadDir(temp); err != nil || len(folders) > 0 {
		t.Errorf("folders: %v, %v", folders, err)
	}
	var left []string
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if strings.Contains(string(text), "DIR="+dir+"\x00") {
			left = append(left, strings.Split(file, "/")[2])
		}
	}
	if left = living(left); len(left) > 0 {
		t.Errorf("processes: %v", left)
	}
	pollUntil(t, "the worker has no pipe open but its own streams, the leash of the tests, and the runtime's", func() bool {
		pipes := 0
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", w.cmd.Process.Pid))
		for _, link := range links {
			if target, _ := os.Readlink(link); strings.HasPrefix(target, "pipe:") {
				pipes++
			}
		}
		return pipes <= 5
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
