package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// A slot that has only just come due is not left to the next beat where the one before it was too late: the next beat
// would find it too late again, and every slot after it.
func TestAFlowWithAShortDeadlineRunsAgainByTheFirstBeatAfterOneThatWasMissing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*store.DataFlow){
		"catchup none":  func(f *store.DataFlow) { f.Catchup = store.CatchupNone },
		"half a minute": func(f *store.DataFlow) { f.StartDeadline = store.Duration(30 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, store.Config{})
			f.pass(0)
			flow := function("a", func(flow *store.DataFlow) { flow.Every = store.Duration(time.Minute) })
			change(&flow)
			f.put(flow)
			f.pass(200 * time.Millisecond)
			f.beat()
			f.complete(f.claimOne("w"))
			f.pass(2 * time.Minute) // and the beat in between is missing
			f.beat()
			if c := f.claimOne("w"); c.Slot.Second() != 0 || f.now.Sub(c.Slot) > time.Second {
				t.Errorf("at %s it runs for %s", f.now, c.Slot)
			}
		})
	}
}

func TestARunIsRetriedByHandOnlyOnceItsOccurrenceIsOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", func(flow *store.DataFlow) { flow.Every = store.Duration(time.Hour) }))
	f.beat()
	handedBack := f.claimOne("w")
	if _, err := f.Release(f.ctx, f.p, success(handedBack)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.RetryRun(f.ctx, "default", handedBack.RunID); !errors.Is(err, store.ErrNotEnded) {
		t.Errorf("a run whose slot is due again: %v", err)
	}
	c := f.claimOne("w")
	failed := []store.Completion{{Claim: c, Outcome: store.Outcome{Status: store.StatusFailed, Reason: store.ReasonError, Error: "down"}}}
	if written, err := f.Complete(f.ctx, f.p, failed); err != nil || !written.Answers[0].Dead {
		t.Fatalf("%+v, %v", written, err)
	}
	again, err := f.RetryDead(f.ctx, "default", c.RunID)
	if err != nil {
		t.Fatal(err)
	}
	if dead, _, err := f.Dead(f.ctx, "default", 0, ""); err != nil || len(dead) != 0 {
		t.Errorf("still dead: %v, %v", dead, err)
	}
	if _, err := f.RetryRun(f.ctx, "default", c.RunID); !errors.Is(err, store.ErrNotEnded) {
		t.Errorf("a run that is being retried: %v", err)
	}
	retried := f.claimOne("w")
	if retried.RunID != again || retried.OccurrenceID != c.OccurrenceID || retried.Attempt != c.Attempt+1 || !retried.ForSlot().Equal(c.Slot) {
		t.Errorf("retried as %+v", retried)
	}
}

func TestARenewalSaysWhyARunIsToBeCancelled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute), function("b", everyMinute), function("c", everyMinute))
	f.beat()
	claims := f.claim("w", 3).Claims
	for i, reason := range []string{"wrong day", ""} {
		if _, err := f.CancelRun(f.ctx, "default", claims[i].RunID, reason); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want ...string) {
		t.Helper()
		renewed, err := f.Renew(f.ctx, f.p, lease, claims)
		if err != nil {
			t.Fatal(err)
		}
		for i, renewal := range renewed {
			if renewal.Cancel != want[i] {
				t.Errorf("%s is to be cancelled: %q, want %q", claims[i].RunID, renewal.Cancel, want[i])
			}
		}
	}
	expect("cancelled: wrong day", "cancelled", "")
	if _, err := f.CancelRun(f.ctx, "default", claims[0].RunID, "wrong year"); err != nil {
		t.Fatal(err)
	}
	expect("cancelled: wrong year", "cancelled", "")
	f.complete(claims[0])
	expect("", "cancelled", "")
}

func TestACancellationIsNotLostWhereItsWorkerDrains(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", func(flow *store.DataFlow) { flow.Every = store.Duration(time.Hour) }))
	f.beat()
	c := f.claimOne("w")
	if _, err := f.CancelRun(f.ctx, "default", c.RunID, "wrong day"); err != nil {
		t.Fatal(err)
	}
	if written, err := f.Release(f.ctx, f.p, success(c)); err != nil || written.Answers[0].Run.Status != store.StatusCancelled {
		t.Fatalf("%+v, %v", written, err)
	}
	if run := f.run(c.RunID); run.Status != store.StatusCancelled || run.Error != "cancelled: wrong day" {
		t.Errorf("the run is %+v", run)
	}
	if claimed := f.claim("w", 1); len(claimed.Claims) != 0 {
		t.Errorf("it runs again: %+v", claimed.Claims)
	}
}

func TestAnOccurrenceThatTakesItsWorkersDownIsGivenUpAndItsFlowPaused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", func(flow *store.DataFlow) { flow.Every = store.Duration(time.Hour) }))
	f.beat()
	for n := range store.CrashBudget {
		if c := f.claimOne(fmt.Sprint("w", n)); c.Attempt != n+1 {
			t.Fatalf("attempt %d: %+v", n+1, c)
		}
		f.pass(lease)
	}
	claimed := f.claim("w", 1)
	if len(claimed.Claims) != 0 || len(claimed.Ended) != 1 || claimed.Ended[0].Run.Reason != store.ReasonCrashes {
		t.Fatalf("%+v", claimed)
	}
	flow, err := f.Flow(f.ctx, "default", "a")
	if err != nil || !flow.Paused || flow.PausedReason == "" {
		t.Errorf("%+v, %v", flow, err)
	}
}
