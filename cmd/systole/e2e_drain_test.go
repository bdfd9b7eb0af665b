package main

import (
	"errors"
	"strconv"
	"syscall"
	"testing"

	"github.com/systole-run/systole/store"
)

// R6.4
func TestWorkerFinishesWhatItRunsWhenItIsToldToStopAndTakesNothingMore(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	first := s.workers(1, 1)["w1"]
	s.put("orders", 3, `until test -e "$DIR/gate"; do sleep 0.05; done`)
	s.publish("")
	running := s.awaitRuns(1, store.StatusInProgress)[0]

	first.signal(syscall.SIGTERM)
	first.awaitLog("draining")
	s.publish("")
	s.open("gate")
	if status := first.status(); status != exitFine {
		t.Errorf("exit status %d", status)
	}
	runs := s.runs(store.RunFilter{})
	if len(runs) != 1 || runs[0].ID != running.ID || runs[0].Status != store.StatusSuccess {
		t.Errorf("the drained worker left %+v", runs)
	}

	s.worker("w2") // finds the heartbeats that stand, and finishes them
	s.settled(2)
	s.checkOnce("orders", 3)
	if beat := s.beats()[0]; beat.FlowsDue != 3 || beat.FlowsTriggered != 3 || beat.Succeeded != 3 {
		t.Errorf("the first beat: %+v", beat)
	}
}

// R6.4
func TestRunThatDoesNotFinishInTimeIsHandedBackAndSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	first := s.worker("w1", "SYSTOLE_WORKER__DRAIN_TIMEOUT=500ms")
	first.awaitReady()
	s.put("orders", 1, `echo $$ > "$DIR/$SYSTOLE_WORKER"; test "$SYSTOLE_WORKER" = w2 || sleep 300`)
	s.publish("")
	command := s.pid("w1")
	s.worker("w2").awaitReady()

	first.signal(syscall.SIGTERM)
	if status := first.status(); status != exitFine {
		t.Errorf("exit status %d", status)
	}
	s.settled(1)
	s.checkHandedBack(command)
}

// R6.4
func TestSecondSignalEndsTheWorkerAtOnceAndHandsBack(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	first := s.worker("w1", "SYSTOLE_WORKER__DRAIN_TIMEOUT=10m", "SYSTOLE_EXECUTOR__EXEC__KILL_GRACE=10m")
	first.awaitReady()
	// It heeds no SIGTERM, and the process that it waits for is another one of its group.
	s.put("orders", 1, `trap "" TERM; echo $$ > "$DIR/$SYSTOLE_WORKER"; test "$SYSTOLE_WORKER" = w2 || { sleep 300; true; }`)
	s.publish("")
	command := s.pid("w1")
	s.worker("w2").awaitReady()

	first.signal(syscall.SIGTERM)
	first.awaitLog("draining")
	first.signal(syscall.SIGTERM)
	if status := first.status(); status != exitFine {
		t.Errorf("exit status %d", status)
	}
	s.settled(1)
	s.checkHandedBack(command)
}

// pid waits until a flow has written the id of its process, which leads its group.
func (s *stand) pid(file string) int {
	s.t.Helper()
	var id int
	pollUntil(s.t, "a flow has begun on "+file, func() bool {
		if lines := s.lines(file); len(lines) == 1 {
			id, _ = strconv.Atoi(lines[0])
		}
		return id > 0
	})
	return id
}

// checkHandedBack sees to the one flow that w1 handed back: w2 has run the occurrence as its first attempt, under the
// same beat, and nothing of w1's command is left.
func (s *stand) checkHandedBack(command int) {
	s.t.Helper()
	byWorker := map[string]store.Run{}
	for _, run := range s.runs(store.RunFilter{}) {
		byWorker[run.Worker] = run
	}
	back, again := byWorker["w1"], byWorker["w2"]
	if len(byWorker) != 2 || back.Status != store.StatusCancelled || back.Reason != store.ReasonHandedBack {
		s.t.Errorf("handed back: %+v", back)
	}
	if again.Status != store.StatusSuccess || again.Attempt != 1 || again.OccurrenceID != back.OccurrenceID || again.BeatID != back.BeatID {
		s.t.Errorf("run again: %+v after %+v", again, back)
	}
	if beat := s.beats()[0]; beat.FlowsTriggered != 1 || beat.Succeeded != 1 || beat.Failed != 0 {
		s.t.Errorf("the beat: %+v", beat)
	}
	pollUntil(s.t, "the group of the command has ended", func() bool { return errors.Is(syscall.Kill(-command, 0), syscall.ESRCH) })
}
