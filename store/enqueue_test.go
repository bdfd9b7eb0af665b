package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func TestARunNowCanBeReadAndRunsWithItsParametersWithoutAnyBeat(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a"))
	id, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: "a", Params: []byte(`{"x":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if run := f.run(id); run.Status != store.StatusPending || run.CreatedAt == nil || run.OccurrenceID != id || run.Slot != nil {
		t.Errorf("pending: %+v", run)
	}
	c := f.claimOne("w")
	if c.RunID != id || !c.RunNow() || string(c.Params) != `{"x":1}` || c.BeatID != "" || c.Attempt != 1 {
		t.Errorf("claimed %+v", c)
	}
	if run := f.run(id); run.Status != store.StatusInProgress || run.CreatedAt == nil {
		t.Errorf("running: %+v", run)
	}
	f.complete(c)
	if run := f.run(id); run.Status != store.StatusSuccess || string(run.Params) != `{"x":1}` {
		t.Errorf("ended: %+v", run)
	}
}

func TestARunNowWithAKnownIDIsNotRunAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a"))
	id := runID("a", 1)
	for range 3 {
		if got := f.runNow("a", id); got != id {
			t.Errorf("id %s, want %s", got, id)
		}
	}
	f.complete(f.claimOne("w"))
	f.runNow("a", id)
	if again := f.claim("w", 10); len(again.Claims) != 0 {
		t.Errorf("it ran again: %+v", again.Claims)
	}
}

func TestIDsThatTheStoreMakesSortByTimeAndAreAllDifferent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a"))
	f.pass(0)
	seen := map[string]bool{}
	before := ""
	for range 5 {
		first, second := f.runNow("a", ""), f.runNow("a", "")
		if seen[first] || seen[second] || first == second || !strings.HasPrefix(first, "a~") {
			t.Fatalf("ids %s and %s", first, second)
		}
		if min(first, second) < before {
			t.Fatalf("%s and %s sort before %s, which is older", first, second, before)
		}
		seen[first], seen[second], before = true, true, max(first, second)
		f.pass(time.Millisecond)
	}
}

func TestARunNowOfAFlowThatRunsWaitsForIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	f.beat()
	slot := f.claimOne("w")
	first, second := f.runNow("a", runID("a", 1)), f.runNow("a", runID("a", 2))
	if got := f.claim("w", 10); len(got.Claims) != 0 {
		t.Fatalf("it runs beside itself: %+v", got.Claims)
	}
	for _, want := range []string{first, second} {
		f.complete(slot)
		if slot = f.claimOne("w"); slot.RunID != want {
			t.Fatalf("claimed %s, want %s", slot.RunID, want)
		}
	}
}

func TestARunNowLeavesTheSlotThatTheFlowWaitsFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute))
	f.beat()
	f.complete(f.claimOne("w"))
	next := *f.flow("a").NextSlot
	f.runNow("a", "")
	f.complete(f.claimOne("w"))
	if got := f.flow("a"); !got.NextSlot.Equal(next) || got.Due {
		t.Errorf("next slot %s, want %s; due %v", got.NextSlot, next, got.Due)
	}
	f.pass(time.Minute)
	if accepted := f.beat(); accepted.Due != 1 {
		t.Errorf("due %d, want 1", accepted.Due)
	}
}

// A run-now whose worker died and whose next one shut down keeps its occurrence id, and its attempts rise.
func TestARunNowThatIsHandedBackAfterItWasLostKeepsItsAttempts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a"))
	id := f.runNow("a", "")
	f.claimOne("dies")
	f.pass(lease)
	taken := f.claimOne("drains")
	if taken.Attempt != 2 || taken.OccurrenceID != id || taken.RecoveredID != id || taken.RunID == id {
		t.Fatalf("taken over: %+v", taken)
	}
	if written, err := f.Release(f.ctx, f.p, success(taken)); err != nil || written.Answers[0].Err != nil {
		t.Fatal(written.Answers, err)
	}
	if run := f.run(taken.RunID); run.Status != store.StatusPending || run.OccurrenceID != id {
		t.Errorf("handed back: %+v", run)
	}
	again := f.claimOne("w")
	if again.Attempt != 2 || again.OccurrenceID != id || again.RunID != taken.RunID || again.Token <= taken.Token {
		t.Errorf("claimed again: %+v", again)
	}
	f.complete(again)
	for run, want := range map[string]store.Status{id: store.StatusFailed, taken.RunID: store.StatusSuccess} {
		if got := f.run(run); got.Status != want {
			t.Errorf("run %s is %s, want %s", run, got.Status, want)
		}
	}
}

func TestEnqueueRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{MaxQueued: 2})
	f.put(function("a"))
	for name, ask := range map[string]store.RunNow{
		"an id of another flow":        {Flow: "a", ID: runID("b", 1)},
		"an id that is none":           {Flow: "a", ID: "a~now"},
		"an id with a line end":        {Flow: "a", ID: runID("a", 1) + "\n"},
		"parameters that are a list":   {Flow: "a", Params: []byte(`[1]`)},
		"parameters that are null":     {Flow: "a", Params: []byte(`null`)},
		"parameters that are not JSON": {Flow: "a", Params: []byte(`{"x":`)},
	} {
		ask.Group = "default"
		if _, err := f.Enqueue(f.ctx, ask); !errors.As(err, new(store.InvalidError)) {
			t.Errorf("%s: %v, want an InvalidError", name, err)
		}
	}
	if _, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: "b"}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown flow: %v", err)
	}
	f.runNow("a", runID("a", 1))
	f.runNow("a", runID("a", 2))
	if _, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: "a"}); !errors.Is(err, store.ErrQueueFull) {
		t.Errorf("one more than may wait: %v", err)
	}
	f.runNow("a", runID("a", 2)) // known, so accepted
}

// The id of a run-now ends with the place of its request, which may be the number of an attempt, and its time may be a token's.
func TestARetryHasNotTheIDOfARunNow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", func(flow *store.DataFlow) { flow.Retry = &store.Retry{Attempts: 2} }))
	f.runNow("a", "")
	c := f.claimOne("w")
	other := f.runNow("a", fmt.Sprintf("a~%s-2", c.Token))
	end := store.Completion{Claim: c, Outcome: store.Outcome{Status: store.StatusFailed, Reason: store.ReasonError, Error: "boom"}}
	written, err := f.Complete(f.ctx, f.p, []store.Completion{end})
	if err != nil || written.Answers[0].Err != nil || written.Answers[0].RetryID == other {
		t.Fatalf("%+v, %v", written, err)
	}
	if run := f.run(written.Answers[0].RetryID); run.Status != store.StatusPending || run.Attempt != 2 {
		t.Errorf("the retry is %+v", run)
	}
	if run := f.run(other); run.Status != store.StatusPending || run.Attempt != 1 {
		t.Errorf("the other run is %+v", run)
	}
}
