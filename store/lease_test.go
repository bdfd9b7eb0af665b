package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func TestAnExpiredLeaseIsTakenOverWithAHigherTokenAndTheSameOccurrence(t *testing.T) { // R6.4
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute))
	f.beat()
	first := f.claimOne("frozen")
	f.pass(lease - time.Millisecond)
	early := f.claim("w", 10)
	if len(early.Claims) != 0 || early.NextExpiry != time.Millisecond {
		t.Fatalf("claimed %+v before the lease expired, next expiry %s", early.Claims, early.NextExpiry)
	}
	f.pass(time.Millisecond)
	second := f.claimOne("w")
	if second.OccurrenceID != first.OccurrenceID || second.Attempt != 2 || second.Token <= first.Token ||
		second.RecoveredID != first.RunID || second.BeatID != first.BeatID || !second.Slot.Equal(first.Slot) {
		t.Errorf("took over %+v\nfrom %+v", second, first)
	}
	if lost := f.run(first.RunID); lost.Status != store.StatusFailed || lost.Reason != store.ReasonLeaseLost || lost.EndedAt == nil {
		t.Errorf("the lost run is %+v", lost)
	}
	if run := f.run(second.RunID); !run.Recovered || run.Attempt != 2 {
		t.Errorf("the second run is %+v", run)
	}
	written, err := f.Complete(f.ctx, f.p, success(first))
	answers := written.Answers
	if err != nil || !errors.Is(answers[0].Err, store.ErrStale) {
		t.Errorf("the frozen worker completed: %+v, %v", answers, err)
	}
	if settled := f.complete(second); len(settled) != 1 || settled[0].FlowsTriggered != 1 || settled[0].Succeeded != 1 {
		t.Errorf("settled %+v", settled)
	}
}

func TestALeaseThatIsRenewedLasts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute))
	f.beat()
	c := f.claimOne("w")
	for range 5 {
		f.pass(lease / 2)
		if held, err := f.Renew(f.ctx, f.p, lease, []store.Claim{c}); err != nil || !held[0].Held {
			t.Fatal(held, err)
		}
		if other := f.claim("other", 10); len(other.Claims) != 0 {
			t.Fatalf("taken over: %+v", other.Claims)
		}
	}
	f.pass(lease)
	if held, err := f.Renew(f.ctx, f.p, lease, []store.Claim{c}); err != nil || !held[0].Held {
		t.Fatalf("expired, and taken over by nobody: %v, %v", held, err)
	}
}

func TestMoreLeasesThanOneCallTakesAreRenewedAndReleased(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	const flows = 230
	for n := range flows {
		f.put(function("f"+string(rune('a'+n%26))+string(rune('a'+n/26)), everyMinute))
	}
	f.beat()
	var claims []store.Claim
	for len(claims) < flows {
		claimed := f.claim("w", 1000)
		if len(claimed.Claims) == 0 || len(claimed.Claims) > 100 {
			t.Fatalf("one call claimed %d", len(claimed.Claims))
		}
		claims = append(claims, claimed.Claims...)
	}
	held, err := f.Renew(f.ctx, f.p, lease, claims)
	if err != nil || len(held) != flows {
		t.Fatalf("renewed %d, %v", len(held), err)
	}
	written, err := f.Release(f.ctx, f.p, success(claims...))
	answers := written.Answers
	if err != nil || len(answers) != flows {
		t.Fatalf("released %d, %v", len(answers), err)
	}
	for i := range answers {
		if !held[i].Held || answers[i].Err != nil {
			t.Fatalf("%s: held %v, %v", claims[i].RunID, held[i], answers[i].Err)
		}
	}
}

func TestWhatIsHandedBackIsDueAgainUnderTheSameBeatAndSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	f.beat()
	first := f.claimOne("drains")
	written, err := f.Release(f.ctx, f.p, success(first))
	answers, settled := written.Answers, written.Settled
	if err != nil || answers[0].Err != nil || len(settled) != 0 {
		t.Fatal(answers, settled, err)
	}
	if run := f.run(first.RunID); run.Status != store.StatusCancelled || run.Reason != store.ReasonHandedBack {
		t.Errorf("handed back: %+v", run)
	}
	second := f.claimOne("w")
	if second.BeatID != first.BeatID || second.Attempt != 1 || second.OccurrenceID != first.OccurrenceID || second.RunID == first.RunID {
		t.Errorf("claimed again: %+v", second)
	}
	if settled := f.complete(second); len(settled) != 1 || settled[0].FlowsTriggered != 1 || settled[0].FlowsDue != 1 {
		t.Errorf("settled %+v", settled)
	}
}

func TestTheOutputOfARunCanBeReadWhileItGoesOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	f.beat()
	c := f.claimOne("w")
	if log, err := f.RunLog(f.ctx, "default", c.RunID); err != nil || len(log) != 0 {
		t.Errorf("log %q, %v of a run that has given none", log, err)
	}
	for _, text := range []string{"one", "one two \x00\xff"} {
		if err := f.Progress(f.ctx, f.p, []store.Output{{Claim: c, Log: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
		if log, err := f.RunLog(f.ctx, "default", c.RunID); err != nil || string(log) != text {
			t.Errorf("log %q, %v; want %q", log, err, text)
		}
	}
	stale := c
	stale.Token = "1"
	if err := f.Progress(f.ctx, f.p, []store.Output{{Claim: stale, Log: []byte("stale")}}); err != nil {
		t.Fatal(err)
	}
	batch := success(c)
	batch[0].Outcome.Log = []byte("all")
	if _, err := f.Complete(f.ctx, f.p, batch); err != nil {
		t.Fatal(err)
	}
	if log, err := f.RunLog(f.ctx, "default", c.RunID); err != nil || string(log) != "all" {
		t.Errorf("log %q, %v", log, err)
	}
	if _, err := f.RunLog(f.ctx, "default", runID("a", 1)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("log of no run: %v", err)
	}
}

func TestACursorIsKeptOnlyOfARunThatSucceeds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a"))
	for _, step := range []struct {
		status       store.Status
		cursor, want string
	}{
		{store.StatusFailed, "1", ""}, {store.StatusSuccess, "2", "2"}, {store.StatusFailed, "3", "2"},
	} {
		f.runNow("a", "")
		c := f.claimOne("w")
		out := store.Outcome{Status: step.status, Cursor: &step.cursor}
		if written, err := f.Complete(f.ctx, f.p, []store.Completion{{Claim: c, Outcome: out}}); err != nil || written.Answers[0].Err != nil {
			t.Fatal(written.Answers, err)
		}
		f.runNow("a", "")
		next := f.claimOne("w")
		if next.Cursor != step.want {
			t.Errorf("after %s with cursor %s it is %q, want %q", step.status, step.cursor, next.Cursor, step.want)
		}
		f.complete(next)
	}
}

// Names of workers and ids of beats come from outside, and go into packed records.
func TestOddNamesOfWorkersAndBeatsAreReadBackAsTheyWere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	const worker, beat = `host|1 "quoted" \ ü`, `beat|~"x"%7C`
	if _, err := f.AcceptBeat(f.ctx, store.Arrival{Key: "1-1", ID: beat, Group: "default", Source: `s|"`, Note: "n\n", Worker: worker}); err != nil {
		t.Fatal(err)
	}
	c := f.claimOne(worker)
	if run := f.run(c.RunID); run.Worker != worker || run.BeatID != beat || c.BeatID != beat || c.Worker != worker {
		t.Errorf("run %+v, claim %+v", run, c)
	}
	f.complete(c)
	if run := f.run(c.RunID); run.Worker != worker || run.BeatID != beat {
		t.Errorf("ended %+v", run)
	}
	beats, _, err := f.Beats(f.ctx, "default", 10, "")
	if err != nil || len(beats) != 1 || beats[0].ID != beat || beats[0].Source != `s|"` || beats[0].Note != "n\n" {
		t.Errorf("beats %+v, %v", beats, err)
	}
}
