package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/systole-run/systole/store"
)

// tree starts grandchildren in sessions of their own and without living parents, writes their numbers into $DIR/pids, and stays.
const tree = `
	for i in 1 2 3; do (setsid sh -c 'echo $$ >>$DIR/pids; exec sleep 300' &); done
	until [ "$(wc -l <$DIR/pids)" -ge 3 ]; do sleep 0.02; done
	echo $$ >>$DIR/pids; exec sleep 300`

func needsSupervisor(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("processes are supervised on Linux only")
	}
}

// living are those processes that are there and no zombies.
func living(pids []string) []string {
	return slices.DeleteFunc(slices.Clone(pids), func(pid string) bool {
		text, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(text), ") Z ")
	})
}

// treeOf starts a worker that runs tree, and gives the processes of the run.
func treeOf(t *testing.T, s *stand) (*daemon, []string) {
	t.Helper()
	w := s.worker("w1", "SYSTOLE_WORKER__LEASE="+lease.String())
	w.awaitReady()
	s.put("tree", 1, tree)
	s.publish("")
	pollUntil(t, "the tree is there", func() bool { return len(s.lines("pids")) == 4 })
	return w, s.lines("pids")
}

// R6.4
func TestNothingOfAKilledWorkersRunOutlivesItsLease(t *testing.T) {
	t.Parallel()
	needsSupervisor(t)
	s := newStand(t)
	w, pids := treeOf(t, s)
	w.signal(syscall.SIGKILL)
	pollUntil(t, "the tree is gone", func() bool { return len(living(pids)) == 0 })
}

func TestTreeOfAFrozenWorkerEndsWithItsLease(t *testing.T) {
	t.Parallel()
	needsSupervisor(t)
	s := newStand(t)
	w, pids := treeOf(t, s)
	w.signal(syscall.SIGSTOP)
	defer w.signal(syscall.SIGCONT)
	pollUntil(t, "the tree is gone", func() bool { return len(living(pids)) == 0 })
}

func TestWorkerWhoseSupervisorDiesFailsItsRunsAndGoesOn(t *testing.T) {
	t.Parallel()
	needsSupervisor(t)
	s := newStand(t)
	w, pids := treeOf(t, s)
	supervisor := childNamed(t, w.cmd.Process.Pid, "systole-supervisor")
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	failed := s.awaitRuns(1, store.StatusFailed)
	if !strings.Contains(failed[0].Error, "supervisor is gone") || len(living(pids)) > 0 {
		t.Errorf("got %+v; living: %v", failed[0], living(pids))
	}
	s.put("fine", 3, "true")
	s.publish("")
	s.awaitRuns(3, store.StatusSuccess)
}

// childNamed is the child process of parent that calls itself by a name.
func childNamed(t *testing.T, parent int, name string) int {
	t.Helper()
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(text)) {
			if line, _ := os.ReadFile("/proc/" + child + "/cmdline"); strings.HasPrefix(string(line), name+"\x00") {
				pid, _ := strconv.Atoi(child)
				return pid
			}
		}
	}
	t.Fatalf("process %d has no child %s", parent, name)
	return 0
}

func TestCommandSeesNoSecretOfTheWorker(t *testing.T) {
	t.Parallel()
	needsSupervisor(t)
	s := newStand(t)
	s.worker("w1", "OPS_TOKEN=hunter2-hunter2").awaitReady()
	s.put("spy", 1, `
		env >>$DIR/seen; ls -l /proc/self/fd >>$DIR/seen
		for p in $PPID $(cat /proc/$PPID/stat | cut -d' ' -f4); do
			cat /proc/$p/environ >>$DIR/seen 2>&1; ls -l /proc/$p/fd >>$DIR/seen 2>&1
		done
		echo end >>$DIR/seen`)
	s.publish("")
	pollUntil(t, "the spy has looked", func() bool { return slices.Contains(s.lines("seen"), "end") })
	text, err := os.ReadFile(filepath.Join(s.dir, "seen"))
	if err != nil || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "socket:") {
		t.Errorf("%v, a secret or a connection shows: %s", err, text)
	}
}

func TestRunRecordTellsOfItsProcessesAndTheLimitThatEndedIt(t *testing.T) {
	t.Parallel()
	needsSupervisor(t)
	s := newStand(t)
	s.worker("w1").awaitReady()
	hungry := s.shell("head -c 90000000 /dev/zero | tail -c 90000000 | sleep 300")
	hungry.Limits = &store.Limits{Memory: 48 << 20}
	s.putFlow(store.DataFlow{Name: "hungry", Exec: hungry})
	s.putFlow(store.DataFlow{Name: "fine", Exec: s.shell("exit 0")})
	s.publish("")
	failed, fine := s.awaitRuns(1, store.StatusFailed)[0], s.awaitRuns(1, store.StatusSuccess)[0]
	if failed.Reason != store.ReasonLimit || !strings.Contains(failed.Error, "limit of memory exceeded") || failed.Process == nil || failed.Process.Limit != "memory" || failed.Process.PeakMemory < 48<<20 {
		t.Errorf("got %+v, %+v", failed, failed.Process)
	}
	if told := fine.Process; told == nil || told.ExitCode == nil || *told.ExitCode != 0 || told.Sandbox != "standard" || !slices.Contains(told.Applied, "no_new_privs") {
		t.Errorf("got %+v", told)
	}
}

func TestFlowThatAsksForMoreThanTheOperatorAllowsIsRefusedWhenItIsAppliedAndWhenItRuns(t *testing.T) {
	t.Parallel()
	needsSupervisor(t)
	s := newStand(t)
	s.worker("w1", "SYSTOLE_EXECUTOR__EXEC__MIN_SANDBOX=standard").awaitReady()
	open := s.shell("echo ran >>$DIR/ran")
	open.Sandbox = "none"
	s.putFlow(store.DataFlow{Name: "open", Exec: open})
	s.publish("")
	failed := s.awaitRuns(1, store.StatusFailed)[0]
	if failed.Reason != store.ReasonRefused || !strings.Contains(failed.Error, "exec.sandbox: found none, allowed is standard or strict, as the operator has set") || len(s.lines("ran")) > 0 {
		t.Errorf("got %+v", failed)
	}
}

func TestFunctionRunsInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	needsSupervisor(t)
	s := newStand(t)
	w := s.worker("w1")
	w.awaitReady()
	s.putFlow(store.DataFlow{Name: "apart", Function: &store.FunctionSpec{Name: "echo", Isolation: store.IsolationProcess}})
	s.publish("")
	done := s.awaitRuns(1, store.StatusSuccess)[0]
	log, err := s.store.RunLog(t.Context(), store.DefaultGroup, done.ID)
	if err != nil || !strings.Contains(string(log), done.OccurrenceID+" attempt 1") {
		t.Errorf("log is %q, %v", log, err)
	}
	waiting := childNamed(t, childNamed(t, w.cmd.Process.Pid, "systole-supervisor"), "systole-function")
	w.signal(syscall.SIGKILL)
	pollUntil(t, "the process is gone", func() bool { return len(living([]string{strconv.Itoa(waiting)})) == 0 })
}
