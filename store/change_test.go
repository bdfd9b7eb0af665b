package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func everyHour(f *store.DataFlow) { f.Every = store.Duration(time.Hour) }

func TestPutSaysWhatItDid(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	for _, step := range []struct {
		flow store.DataFlow
		want store.Change
	}{
		{function("a", everyMinute), store.FlowCreated},
		{function("a", everyMinute), store.FlowUnchanged},
		{store.DataFlow{Name: "a", Every: store.Duration(time.Minute), Function: &store.FunctionSpec{Name: "f"}}, store.FlowUnchanged}, // defaults left out
		{function("a", everyHour), store.FlowChanged},
	} {
		if got, err := f.PutFlow(f.ctx, step.flow); err != nil || got != step.want {
			t.Errorf("put: %s, %v; want %s", got, err, step.want)
		}
	}
	if _, err := f.PutFlow(f.ctx, store.DataFlow{Name: "B"}); !errors.As(err, new(store.InvalidError)) {
		t.Errorf("put of nonsense: %v", err)
	}
	if _, err := f.Flow(f.ctx, "default", "B"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nonsense was written: %v", err)
	}
}

func TestAFlowThatChangesWhileItRunsGoesOnUnderItsNewSchedule(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*store.DataFlow)
		want   string // next slot after the claim's; "" for none
	}{
		{"another period", everyHour, "1h0m0s"},
		{"cron", func(f *store.DataFlow) { f.Cron = "30 * * * *" }, "30m0s"},
		{"on demand", func(*store.DataFlow) {}, ""},
		{"another description only", func(f *store.DataFlow) { everyMinute(f); f.Description = "new" }, "1m0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, store.Config{})
			f.pass(0)
			f.put(function("a", everyMinute))
			f.beat()
			c := f.claimOne("w")
			f.put(function("a", test.change))
			if f.flow("a").Due {
				t.Error("due while it runs")
			}
			f.complete(c)
			got := f.flow("a")
			if next := got.NextSlot; test.want == "" && next != nil || test.want != "" && (next == nil || next.Sub(c.Slot).String() != test.want) {
				t.Errorf("next slot %v after %s, want %s later", next, c.Slot, test.want)
			}
			if got.LastRunID != c.RunID || got.LastStatus != store.StatusSuccess || got.RunningID != "" {
				t.Errorf("the run left no trace: %+v", got)
			}
		})
	}
}

// A run-now takes no slot up, so a schedule that is set while it runs takes effect with its end, and not only after some
// other slot, which need not ever come.
func TestAFlowThatGetsItsScheduleDuringARunNowIsDueOnceThatEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*fixture, store.Claim){
		"completed": func(f *fixture, c store.Claim) { f.complete(c) },
		"handed back": func(f *fixture, c store.Claim) {
			if written, err := f.Release(f.ctx, f.p, success(c)); err != nil || written.Answers[0].Err != nil {
				f.Fatal(written.Answers, err)
			}
			f.complete(f.claimOne("w"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, store.Config{})
			f.put(function("a"))
			f.runNow("a", "")
			c := f.claimOne("w")
			f.put(function("a", everyMinute))
			end(f, c)
			if accepted := f.beat(); accepted.Due != 1 {
				t.Fatalf("due %d after the run-now, want 1", accepted.Due)
			}
			if c := f.claimOne("w"); c.RunNow() {
				t.Errorf("claimed %+v", c)
			}
		})
	}
}

func TestAFlowThatIsDeletedWhileItRunsEndsWithThatRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	f.beat()
	c := f.claimOne("w")
	if err := f.DeleteFlow(f.ctx, "default", "a"); err != nil {
		t.Fatal(err)
	}
	settled := f.complete(c)
	if len(settled) != 1 || settled[0].Succeeded != 1 {
		t.Errorf("settled %+v", settled)
	}
	if run := f.run(c.RunID); run.Status != store.StatusSuccess {
		t.Errorf("run is %s", run.Status)
	}
	for _, key := range f.Keys(f.p) {
		name := key[strings.LastIndex(key, ":")+1:]
		gone := slices.Contains([]string{"defs", "names", "state", "due", "leases", "held", "sources"}, name)
		if gone && f.client.Exists(f.ctx, key).Val() != 0 {
			t.Errorf("%s is left", name)
		}
	}
	if err := f.DeleteFlow(f.ctx, "default", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted again: %v", err)
	}
}

func TestAFlowThatIsDeletedAndPutAgainWhileItRunsIsNotRunBesideItself(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute))
	f.beat()
	c := f.claimOne("w")
	if err := f.DeleteFlow(f.ctx, "default", "a"); err != nil {
		t.Fatal(err)
	}
	f.pass(5 * time.Second)
	f.put(function("a", everyHour))
	if accepted := f.beat(); accepted.Due != 0 {
		t.Errorf("due %d while it runs", accepted.Due)
	}
	f.complete(c)
	if next := f.flow("a").NextSlot; next == nil || next.Sub(c.Slot) != 5*time.Second {
		t.Errorf("next slot %v, want the first of the new flow, not the one after %s", next, c.Slot)
	}
	if accepted := f.beat(); accepted.Due != 1 {
		t.Errorf("due %d after the run, want the new flow", accepted.Due)
	}
}

// Somebody has deleted the flow to have it begin anew. What its last run leaves behind is not for the one that has its name now.
func TestARunOfADeletedFlowLeavesNothingToTheOneThatIsPutAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []store.Status{store.StatusSuccess, store.StatusFailed} {
		f := newFixture(t, store.Config{})
		f.pass(0)
		retried := func(d *store.DataFlow) { d.PauseAfter, d.Retry = 1, &store.Retry{Attempts: 3} }
		f.put(function("a", everyMinute, retried))
		f.beat()
		c := f.claimOne("w")
		if err := f.DeleteFlow(f.ctx, "default", "a"); err != nil {
			t.Fatal(err)
		}
		f.put(function("a", everyMinute, retried))
		cursor := "of the flow that was deleted"
		end := []store.Completion{{Claim: c, Outcome: store.Outcome{Status: status, Error: "e", Cursor: &cursor}}}
		for range 2 { // as where the answer was lost
			if written, err := f.Complete(f.ctx, f.p, end); err != nil || written.Answers[0].Err != nil || written.Answers[0].RetryID != "" {
				t.Fatalf("%+v, %v", written, err)
			}
		}
		if run := f.run(c.RunID); run.Status != status {
			t.Errorf("the run is %+v", run)
		}
		if view := f.flow("a"); view.LastRunID != "" || view.SlotsRan != 0 || view.Failures != 0 || view.Paused {
			t.Errorf("after a %s the flow is %+v", status, view)
		}
		f.pass(time.Second)
		f.beat()
		if next := f.claimOne("w"); next.Cursor != "" || next.Attempt != 1 || next.RunID == c.RunID {
			t.Errorf("after a %s its first run is %+v", status, next)
		}
	}
}

func TestOfManyPutsAtOnceOneWinsWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	const writers = 8
	var writing sync.WaitGroup
	created := make(chan store.Change, writers)
	for n := range writers {
		writing.Go(func() {
			flow := function("a", func(d *store.DataFlow) {
				d.Every, d.Description = store.Duration(time.Duration(n+1)*time.Hour), fmt.Sprint(n+1)
			})
			change, err := f.PutFlow(f.ctx, flow)
			if err != nil {
				t.Error(err)
			}
			created <- change
		})
	}
	writing.Wait()
	close(created)
	count := 0
	for change := range created {
		if change == store.FlowCreated {
			count++
		}
	}
	got := f.flow("a")
	if count != 1 || got.Every.String() != got.Description+"h" {
		t.Errorf("%d writers created it; it is every %s, described as %s", count, got.Every, got.Description)
	}
	if got.NextSlot == nil {
		t.Error("it waits for no slot")
	}
}

func TestRunNowsOfADeletedFlowEndHoweverManyWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a"))
	const waiting = 250
	for n := range waiting {
		f.runNow("a", runID("a", n+1))
	}
	held := f.claimOne("w") // the others are blocked behind it
	for f.claim("w", 100).More {
	}
	if err := f.DeleteFlow(f.ctx, "default", "a"); err != nil {
		t.Fatal(err)
	}
	f.complete(held)
	for f.claim("w", 100).More {
	}
	cancelled, next, err := f.Runs(f.ctx, "default", store.RunFilter{Status: store.StatusCancelled, Limit: 1000})
	if err != nil || next != "" || len(cancelled) != waiting-1 {
		t.Errorf("%d run-nows have ended, want %d; %v", len(cancelled), waiting-1, err)
	}
	if status, err := f.Status(f.ctx); err != nil || len(status) != 0 {
		t.Errorf("left: %+v, %v", status, err)
	}
}

// A newer version wrote what this one cannot read, while it held a run of that flow. What else ends with that run is written.
func TestAnEndWhoseFlowCannotBeReadAnyMoreHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute), function("b", everyMinute))
	f.beat()
	claims := f.claim("w", 10).Claims
	f.makeUnreadable("a", `"cron":"of a newer version"`)
	for range 2 { // as where the answer was lost
		written, err := f.Complete(f.ctx, f.p, success(claims...))
		if err != nil || written.Answers[1].Err != nil {
			t.Fatalf("%+v, %v", written.Answers, err)
		}
		if err := written.Answers[0].Err; err == nil || errors.Is(err, store.ErrStale) {
			t.Errorf("the end of a run whose flow cannot be read: %v", err)
		}
	}
	f.makeUnreadable("a", `"every":["of a newer version"]`)
	f.put(function("a", everyMinute)) // it can be read again
	f.pass(lease)
	if again := f.claimOne("other"); again.OccurrenceID != claims[0].OccurrenceID || again.RecoveredID != claims[0].RunID {
		t.Errorf("claimed %+v", again)
	}
}

// makeUnreadable changes a flow into one that this version cannot read.
func (f *fixture) makeUnreadable(flow, schedule string) {
	f.Helper()
	f.put(function(flow, everyHour)) // which raises the revision of the state
	if err := f.client.HSet(f.ctx, f.Keys(f.p)[1], flow, `{"name":"`+flow+`",`+schedule+`}`).Err(); err != nil {
		f.Fatal(err)
	}
}

// The run of a flow that cannot be read was to be cancelled, and its worker is gone: nobody can end it, and nobody has to wait for that.
func TestARunToBeCancelledWhoseFlowCannotBeReadHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, schedule := range map[string]string{"cron": `"cron":"of a newer version"`, "type": `"every":["of a newer version"]`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, store.Config{})
			f.pass(0)
			f.put(function("a", everyMinute), function("b", everyMinute))
			f.beat()
			lost := f.claim("gone", 1).Claims[0]
			if _, err := f.CancelRun(f.ctx, "default", lost.RunID, ""); err != nil {
				t.Fatal(err)
			}
			f.makeUnreadable("a", schedule)
			f.pass(2 * lease)
			claimed, err := f.Claimer(f.p, "w", lease).Claim(f.ctx, 10)
			if err != nil || len(claimed.Claims) != 1 || claimed.Claims[0].Flow.Name != "b" || len(claimed.Broken) != 1 {
				t.Fatalf("claimed %+v, %v", claimed, err)
			}
			f.complete(claimed.Claims...)

			f.put(function("a", everyMinute)) // it can be read again
			f.pass(lease)
			if ended := f.claim("w", 10).Ended; len(ended) != 1 || ended[0].Run.ID != lost.RunID || ended[0].Run.Status != store.StatusCancelled {
				t.Errorf("ended %+v", ended)
			}
		})
	}
}

func TestAFlowThatCannotBeReadAnyMoreWhenItIsPlacedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute, overlap(store.OverlapAllow)), function("b", everyMinute, overlap(store.OverlapAllow)))
	f.beat()
	calls := 0
	f.client.AddHook(beforeScript(func(context.Context, []any) error {
		if calls++; calls == 2 { // the first one claims, this one places
			f.makeUnreadable("a", `"cron":"of a newer version"`)
		}
		return nil
	}))
	claimed, err := f.Claimer(f.p, "w", lease).Claim(f.ctx, 10)
	if err != nil || len(claimed.Claims) != 1 || claimed.Claims[0].Flow.Name != "b" || len(claimed.Broken) != 1 {
		t.Fatalf("claimed %+v, %v", claimed, err)
	}
}

func TestAFlowThatCannotBeReadIsListedWithTheOthersAndSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute), function("b", everyMinute), function("c", everyMinute))
	f.makeUnreadable("b", `"every":["of a newer version"]`)
	if err := f.client.HSet(f.ctx, f.Keys(f.p)[3], "c", `1||a|{"cursor":["of a newer version"]}`).Err(); err != nil {
		t.Fatal(err)
	}
	flows, next, err := f.Flows(f.ctx, "default", 10, "")
	if err != nil || len(flows) != 3 || next != "" {
		t.Fatalf("%+v, %q, %v", flows, next, err)
	}
	if a := flows[0]; a.Name != "a" || a.Unreadable != "" || !a.Due {
		t.Errorf("the one that can be read is %+v", a)
	}
	for i, name := range []string{"b", "c"} {
		view := flows[i+1]
		if view.Name != name || view.Group != "default" || !strings.Contains(view.Unreadable, "of a newer version") && !strings.Contains(view.Unreadable, "cannot unmarshal array") {
			t.Errorf("one that cannot is %+v", view)
		}
		if _, err := f.Flow(f.ctx, "default", name); err == nil || !strings.Contains(err.Error(), view.Unreadable) {
			t.Errorf("by itself it is read with %v, listed with %s", err, view.Unreadable)
		}
	}
}
