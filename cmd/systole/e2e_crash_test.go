package main

import (
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// lease is that of the workers here: as short as a busy machine bears, or a worker that lives would lose its runs.
const lease = 10 * time.Second

// firstAttemptHangs makes the first attempt wait until the gate is opened, and the next one succeed.
const firstAttemptHangs = `test "$SYSTOLE_ATTEMPT" -gt 1 || until test -e "$DIR/gate"; do sleep 0.05; done`

// R6.4
func TestRunsOfAKilledWorkerAreTakenOverUnderTheSameBeat(t *testing.T) {
	t.Parallel()
	const flows = 4
	s := newStand(t)
	workers := s.workers(2, 2*flows, "SYSTOLE_WORKER__LEASE="+lease.String())
	s.put("orders", flows, firstAttemptHangs)
	s.publish("")
	running := s.awaitRuns(flows, store.StatusInProgress)

	victim := running[0].Worker
	workers[victim].kill()

	for _, lost := range running {
		if lost.Worker != victim {
			continue
		}
		var taken store.Run
		pollUntil(t, "another worker runs "+lost.Flow, func() bool {
			taken = s.runs(store.RunFilter{Flow: lost.Flow})[0]
			return taken.ID != lost.ID
		})
		s.checkTakenOver(lost, taken)
	}
	s.open("gate")
	beats := s.settled(1)
	if beat := beats[0]; len(beats) != 1 || beat.FlowsTriggered != flows || beat.Succeeded != flows || beat.Failed != 0 {
		t.Errorf("the beat: %+v", beats)
	}
}

// checkTakenOver compares a run whose lease was lost with the one that took its occurrence over.
func (s *stand) checkTakenOver(before, after store.Run) {
	s.t.Helper()
	lost, err := s.store.Run(s.t.Context(), store.DefaultGroup, before.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	if lost.Status != store.StatusFailed || lost.Reason != store.ReasonLeaseLost || lost.Attempt != 1 {
		s.t.Errorf("the lost run: %+v", lost)
	}
	if after.OccurrenceID != lost.OccurrenceID || after.BeatID != lost.BeatID || after.BeatID == "" || after.Attempt != 2 ||
		!after.Recovered || after.Worker == lost.Worker || tokenOf(s.t, after) <= tokenOf(s.t, lost) {
		s.t.Errorf("lost %+v\ntaken over as %+v", lost, after)
	}
}

func tokenOf(t *testing.T, run store.Run) uint64 {
	t.Helper()
	number, err := strconv.ParseUint(run.Token, 10, 64)
	if err != nil {
		t.Fatalf("token of %s: %v", run.ID, err)
	}
	return number
}

// R6.4
func TestWorkerThatWasFrozenPastItsLeaseCanCompleteNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	workers := s.workers(2, 2, "SYSTOLE_WORKER__LEASE="+lease.String())
	// When the frozen worker comes back, the other one has finished orders-0, and is still at orders-1.
	s.put("orders", 2, `case $SYSTOLE_FLOW/$SYSTOLE_ATTEMPT in
		*/1) echo $$ >> "$DIR/begun"; until test -e "$DIR/gate"; do sleep 0.05; done; echo late >> "$DIR/late";;
		orders-1/*) until test -e "$DIR/second"; do sleep 0.05; done;;
	esac`)
	s.publish("")
	lost := s.awaitRuns(2, store.StatusInProgress)
	frozen, other := workers["w1"], workers["w2"]
	if lost[0].Worker == "w2" {
		frozen, other = other, frozen
	}

	pollUntil(t, "the commands have begun", func() bool { return len(s.lines("begun")) == 2 })
	frozen.signal(syscall.SIGSTOP)
	s.awaitRuns(2, store.StatusFailed)
	s.awaitRuns(1, store.StatusSuccess)
	if runtime.GOOS == "linux" { // elsewhere nothing ends them
		pollUntil(t, "the commands of the frozen worker have been ended", func() bool { return len(living(s.lines("begun"))) == 0 })
	}
	s.open("gate")
	if runtime.GOOS != "linux" {
		pollUntil(t, "its commands have ended", func() bool { return len(s.lines("late")) == 2 })
	}
	frozen.signal(syscall.SIGCONT)
	for _, run := range lost {
		pollUntil(t, "the frozen worker finds that it has lost its lease", func() bool {
			return frozen.logged("run ended, but another attempt owns its occurrence; nothing was written", "run_id", run.ID) != nil ||
				frozen.logged("run cancelled: its lease could not be renewed in time", "run_id", run.ID) != nil
		})
	}
	if running := s.runs(store.RunFilter{Status: store.StatusInProgress}); len(running) != 1 || running[0].Worker != other.name {
		t.Errorf("after it was frozen, there run %+v", running)
	}
	s.open("second")
	if beat := s.settled(1)[0]; beat.FlowsTriggered != 2 || beat.Succeeded != 2 || beat.Failed != 0 {
		t.Errorf("the beat: %+v", beat)
	}
	for _, run := range lost {
		attempts := s.runs(store.RunFilter{Flow: run.Flow})
		slices.SortFunc(attempts, func(a, b store.Run) int { return a.Attempt - b.Attempt })
		if len(attempts) != 2 || attempts[1].Status != store.StatusSuccess {
			t.Fatalf("%s: %+v", run.Flow, attempts)
		}
		s.checkTakenOver(run, attempts[1])
	}
	s.checkWorksAlone(frozen, other)
}

// checkWorksAlone stops the other worker and sees the one that is left do all of what the next heartbeat makes due.
func (s *stand) checkWorksAlone(left, other *daemon) {
	s.t.Helper()
	other.signal(syscall.SIGTERM)
	if status := other.status(); status != exitFine {
		s.t.Errorf("%s: exit status %d", other.name, status)
	}
	s.put("invoices", 1, "true")
	s.publish("")
	s.settled(2)
	runs := s.runs(store.RunFilter{Flow: "invoices-0"})
	if len(runs) != 1 || runs[0].Status != store.StatusSuccess || runs[0].Worker != left.name {
		s.t.Errorf("%s alone: %+v", left.name, runs)
	}
}
