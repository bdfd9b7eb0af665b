package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func overlap(policy store.Overlap) func(*store.DataFlow) {
	return func(f *store.DataFlow) { f.Overlap = policy }
}

func everyTwoSeconds(f *store.DataFlow) { f.Every = store.Duration(2 * time.Second) }

func key(max int) func(*store.DataFlow) {
	return func(f *store.DataFlow) { f.Concurrency = &store.Concurrency{Key: "warehouse", Max: max} }
}

func TestOccurrencesThatMayOverlapRunSideBySideAndMissNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyTwoSeconds, overlap(store.OverlapAllow)))
	var claims []store.Claim
	for range 3 {
		f.beat()
		claims = append(claims, f.claimOne("w"))
		f.pass(2 * time.Second)
	}
	if flow := f.flow("a"); flow.Running != 3 || flow.RunningID != claims[2].RunID {
		t.Errorf("running %d, the newest %s", flow.Running, flow.RunningID)
	}
	f.complete(claims...) // in one batch: each end builds on the one before
	if flow := f.flow("a"); flow.SlotsRan != 3 || flow.SlotsSkipped+flow.SlotsMissed != 0 || flow.Running != 0 {
		t.Errorf("%d ran, %d skipped, %d missed", flow.SlotsRan, flow.SlotsSkipped, flow.SlotsMissed)
	}
}

func TestRunsThatEndOnSeveralWorkersAtOnceAreAllCounted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyTwoSeconds, overlap(store.OverlapAllow), func(d *store.DataFlow) { d.PauseAfter = 3 }))
	var claims []store.Claim
	for range 3 {
		f.beat()
		claims = append(claims, f.claimOne("w"))
		f.pass(2 * time.Second)
	}
	for _, c := range claims { // each as its worker knows the flow, which is not how it stands
		failed := store.Completion{Claim: c, Outcome: store.Outcome{Status: store.StatusFailed, Reason: store.ReasonError, Error: "down"}}
		if written, err := f.Complete(f.ctx, f.p, []store.Completion{failed}); err != nil || written.Answers[0].Err != nil {
			t.Fatal(written, err)
		}
	}
	if flow := f.flow("a"); flow.Failures != 3 || !flow.Paused || flow.Due {
		t.Errorf("%d failures, paused %v, due %v", flow.Failures, flow.Paused, flow.Due)
	}
}

func TestALaterOccurrenceReplacesWhatRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyTwoSeconds, overlap(store.OverlapReplace)))
	f.beat()
	first := f.claimOne("w")
	f.pass(2 * time.Second)
	f.beat()
	second := f.claim("w", 1)
	if len(second.Claims) != 0 || fmt.Sprint(second.Replaced) != fmt.Sprint([]string{first.RunID}) {
		t.Fatalf("claimed %+v, replaced %v, want %s", second.Claims, second.Replaced, first.RunID)
	}
	waiting := func() store.Run {
		t.Helper()
		runs, _, err := f.Runs(f.ctx, "default", store.RunFilter{Status: store.StatusPending})
		if err != nil || len(runs) != 1 {
			t.Fatalf("pending %+v, %v", runs, err)
		}
		return runs[0]
	}
	if got := waiting().WaitsFor; got != "the end of runs that it replaces" {
		t.Errorf("it waits for %q", got)
	}
	renewed, err := f.Renew(f.ctx, f.p, lease, []store.Claim{first})
	if err != nil || !strings.Contains(renewed[0].Cancel, "superseded by run a~") {
		t.Fatalf("renewed %+v, %v", renewed, err)
	}
	f.pass(2 * time.Second)
	f.beat()
	third := f.claim("w", 2) // the third takes the place of the second, which never ran
	if len(third.Claims) != 0 || !third.More {
		t.Fatalf("claimed %+v", third)
	}
	if ended := f.claim("w", 2).Ended; len(ended) != 1 || ended[0].Run.Reason != store.ReasonSuperseded {
		t.Fatalf("ended %+v", ended)
	}
	end := store.Completion{Claim: first, Outcome: store.Outcome{
		Status: store.StatusCancelled, Reason: store.CancelReason(renewed[0].Cancel), Error: renewed[0].Cancel,
	}}
	written, err := f.Complete(f.ctx, f.p, []store.Completion{end})
	if err != nil || written.Answers[0].Err != nil || !written.More {
		t.Fatalf("ended: %+v, %v", written, err)
	}
	if got := waiting().WaitsFor; got != "" {
		t.Errorf("nothing runs, and it waits for %q", got)
	}
	last := f.claimOne("w") // without another beat
	if last.Slot.Sub(first.Slot) != 4*time.Second {
		t.Errorf("runs for %s, want the third slot after %s", last.Slot, first.Slot)
	}
	f.complete(last)
	flow := f.flow("a")
	if flow.SlotsRan != 2 || flow.SlotsSkipped != 1 {
		t.Errorf("%d ran, %d skipped; want 2 and 1", flow.SlotsRan, flow.SlotsSkipped)
	}
	slot, err := f.SlotAt(f.ctx, "default", "a", first.Slot.Add(2*time.Second))
	if err != nil || slot.Outcome != store.SlotSkipped || slot.Reason != store.ReasonSuperseded {
		t.Errorf("the second slot: %+v, %v", slot, err)
	}
}

// A run that is replaced and fails by itself before it notices is not retried: the later one has its place.
func TestARunThatIsReplacedIsNotRetried(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyTwoSeconds, overlap(store.OverlapReplace), func(d *store.DataFlow) {
		d.Retry = &store.Retry{Attempts: 3, Initial: store.Duration(time.Second)}
	}))
	f.beat()
	first := f.claimOne("w")
	f.pass(2 * time.Second)
	f.beat()
	f.claim("w", 1)
	failed := store.Completion{Claim: first, Outcome: store.Outcome{Status: store.StatusFailed, Reason: store.ReasonError, Error: "down"}}
	if _, err := f.Complete(f.ctx, f.p, []store.Completion{failed}); err != nil {
		t.Fatal(err)
	}
	var ran []store.Claim
	for range 3 {
		claimed := f.claim("w", 2)
		ran = append(ran, claimed.Claims...)
	}
	if len(ran) != 1 || ran[0].Slot.Sub(first.Slot) != 2*time.Second {
		t.Errorf("then ran %+v, want the second slot alone", ran)
	}
}

func TestRunsThatShareAKeyWaitForAPlaceInOrderAndStartWithoutABeat(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	for n := range 5 {
		f.put(function(fmt.Sprint("flow-", n), everyMinute, key(2)))
	}
	beat := f.beat()
	claimed := f.claim("w", 10)
	if len(claimed.Claims) != 2 {
		t.Fatalf("%d run at once, want 2", len(claimed.Claims))
	}
	status, err := f.Status(f.ctx)
	if err != nil || status[0].Running != 2 || status[0].Queued != 3 || status[0].Due != 0 {
		t.Errorf("status %+v, %v", status, err)
	}
	pending, _, err := f.Runs(f.ctx, "default", store.RunFilter{Status: store.StatusPending})
	if err != nil || len(pending) != 3 || !strings.Contains(pending[0].WaitsFor, "concurrency key warehouse") {
		t.Fatalf("pending %+v, %v", pending, err)
	}
	order := []string{}
	running := claimed.Claims
	for len(running) > 0 {
		order = append(order, running[0].Flow.Name)
		f.complete(running[0])
		next := fmt.Sprint("flow-", len(order)+1)
		for _, run := range pending { // only the one that has a place now waits for nothing
			if got := f.run(run.ID); got.Status == store.StatusPending && (got.WaitsFor == "") != (got.Flow == next) {
				t.Errorf("after %d ends: %+v", len(order), got)
			}
		}
		running = append(running[1:], f.claim("w", 10).Claims...)
		if len(running) > 2 {
			t.Fatalf("%d run at once", len(running))
		}
	}
	if got := strings.Join(order, " "); got != "flow-0 flow-1 flow-2 flow-3 flow-4" {
		t.Errorf("ran in the order %s", got)
	}
	beats, _, err := f.Beats(f.ctx, "default", 1, "")
	if err != nil || beats[0].SettledAt == nil || beats[0].Succeeded != 5 || beats[0].FlowsDue != beat.Due {
		t.Errorf("the beat: %+v, %v", beats, err)
	}
}

func TestAPlaceOfAKeyIsNotLostWithItsWorker(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyHour, key(1)), function("b", everyHour, key(1)))
	f.beat()
	first := f.claimOne("dies")
	if waits := f.claim("w", 5); len(waits.Claims) != 0 {
		t.Fatalf("claimed %+v", waits.Claims)
	}
	f.pass(2 * lease)
	again := f.claimOne("w")
	if again.RecoveredID != first.RunID {
		t.Fatalf("claimed %+v, want what %s lost", again, first.RunID)
	}
	if waits := f.claim("w", 5); len(waits.Claims) != 0 {
		t.Fatalf("claimed %+v beside %s", waits.Claims, again.RunID)
	}
	f.complete(again)
	if next := f.claimOne("w"); next.Flow.Name == first.Flow.Name {
		t.Errorf("then ran %s", next.RunID)
	}
}

func TestARunThatWaitsForAPlaceCanBeCancelled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", key(1)), function("b", everyMinute, key(1)))
	f.runNow("a", runID("a", 1))
	holds := f.claimOne("w")
	f.runNow("a", runID("a", 2))
	f.beat()
	if waits := f.claim("w", 5); len(waits.Claims) != 0 {
		t.Fatalf("claimed %+v", waits.Claims)
	}
	pending, _, err := f.Runs(f.ctx, "default", store.RunFilter{Flow: "b"})
	if err != nil || len(pending) != 1 {
		t.Fatalf("pending %+v, %v", pending, err)
	}
	if run, err := f.CancelRun(f.ctx, "default", runID("a", 2), ""); err != nil || run.Status != store.StatusCancelled {
		t.Errorf("a run-now: %+v, %v", run, err)
	}
	if run, err := f.CancelRun(f.ctx, "default", pending[0].ID, "not today"); err != nil || !run.CancelRequested {
		t.Errorf("a slot: %+v, %v", run, err)
	}
	ended := f.claim("w", 5) // whoever claims it ends it, and the flow goes on
	if len(ended.Claims) != 0 || len(ended.Ended) != 1 || ended.Ended[0].Run.Error != "cancelled: not today" {
		t.Fatalf("claimed %+v, ended %+v", ended.Claims, ended.Ended)
	}
	if next := f.flow("b").NextSlot; next == nil || !next.After(holds.StartedAt) {
		t.Errorf("b waits for %v", next)
	}
	f.complete(holds)
	if status, err := f.Status(f.ctx); err != nil || status[0].Queued+status[0].Running != 0 {
		t.Errorf("left is %+v, %v", status, err)
	}
}

func TestAKeyIsRefusedWhereAFlowMayLiveInAnotherPartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{Partitions: 2})
	var invalid store.InvalidError
	_, err := f.PutFlow(f.ctx, function("a", key(1)))
	if !errors.As(err, &invalid) || invalid[0].Field != "concurrency" || !strings.Contains(invalid[0].Allowed, "redis.partitions") {
		t.Errorf("got %v", err)
	}
}

// What waits for its next attempt does not keep the flow from getting another schedule, and is not lost by it.
func TestARetryOutlivesAChangeOfTheSchedule(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	retry := func(d *store.DataFlow) { d.Retry = &store.Retry{Attempts: 2, Initial: store.Duration(time.Minute)} }
	f.put(function("a", everyHour, retry))
	f.beat()
	c := f.claimOne("w")
	failed := store.Completion{Claim: c, Outcome: store.Outcome{Status: store.StatusFailed, Reason: store.ReasonError, Error: "down"}}
	if _, err := f.Complete(f.ctx, f.p, []store.Completion{failed}); err != nil {
		t.Fatal(err)
	}
	f.pass(2 * time.Minute)
	f.put(function("a", everyMinute, retry))
	f.beat()
	again := f.claimOne("w")
	f.complete(again)
	if again.OccurrenceID != c.OccurrenceID || again.Attempt != 2 {
		t.Errorf("claimed %+v, want the second attempt at %s", again, c.OccurrenceID)
	}
	f.pass(time.Minute)
	f.beat()
	if next := f.claimOne("w"); next.Slot.Equal(c.Slot) || next.Attempt != 1 {
		t.Errorf("then %+v", next)
	}
}

func TestSlotsThatAChangeOfScheduleLeavesBehindAreInTheLedger(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute))
	f.beat()
	first := f.claimOne("w")
	f.complete(first)
	f.pass(3*time.Minute + time.Second) // and no beat
	f.put(function("a", everyHour))
	slot, err := f.SlotAt(f.ctx, "default", "a", first.Slot.Add(2*time.Minute))
	if err != nil || slot.Outcome != store.SlotMissed || slot.Reason != store.ReasonScheduleChanged || slot.Count != 3 {
		t.Errorf("the slot is %+v, %v", slot, err)
	}
	if missed := f.flow("a").SlotsMissed; missed != 3 {
		t.Errorf("%d missed, want 3", missed)
	}
}

func failure(c store.Claim) []store.Completion {
	return []store.Completion{{Claim: c, Outcome: store.Outcome{Status: store.StatusFailed, Reason: store.ReasonError, Error: "down"}}}
}

// A retry that comes due together with the next slot does not take the place of that.
func TestAnOlderOccurrenceNeverReplacesALaterOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyTwoSeconds, overlap(store.OverlapReplace), func(d *store.DataFlow) {
		d.Retry = &store.Retry{Attempts: 3, Initial: store.Duration(time.Second)}
	}))
	f.beat()
	first := f.claimOne("w")
	if _, err := f.Complete(f.ctx, f.p, failure(first)); err != nil {
		t.Fatal(err)
	}
	f.pass(2 * time.Second)
	f.beat()
	var ran []store.Claim
	for range 3 {
		ran = append(ran, f.claim("w", 10).Claims...)
	}
	if len(ran) != 1 || !ran[0].Slot.After(first.Slot) {
		t.Errorf("ran %+v, want the later slot alone", ran)
	}
}

// Heartbeats that come while no worker has room are each answered by an occurrence of their own.
func TestHeartbeatsThatPileUpLoseNoSlotThatMayOverlap(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyTwoSeconds, overlap(store.OverlapAllow)))
	for range 4 {
		f.beat()
		f.pass(2 * time.Second)
	}
	ran := 0
	for more := true; more; {
		claimed := f.claim("w", 1)
		ran, more = ran+len(claimed.Claims), claimed.More
	}
	if flow := f.flow("a"); ran != 4 || flow.SlotsMissed != 0 {
		t.Errorf("%d ran, %d were missed; want 4 and none", ran, flow.SlotsMissed)
	}
}

func TestARunNowBehindARetryOfAPausedFlowRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyTwoSeconds, func(d *store.DataFlow) {
		d.Retry = &store.Retry{Attempts: 2, Initial: store.Duration(time.Second)}
	}))
	f.beat()
	if _, err := f.Complete(f.ctx, f.p, failure(f.claimOne("w"))); err != nil {
		t.Fatal(err)
	}
	f.runNow("a", runID("a", 1))
	holds := f.claimOne("w")
	f.runNow("a", runID("a", 2))
	f.pass(2 * time.Second)
	f.beat()
	if waits := f.claim("w", 10); len(waits.Claims) != 0 {
		t.Fatalf("claimed %+v", waits.Claims)
	}
	if err := f.PauseFlow(f.ctx, "default", "a", ""); err != nil {
		t.Fatal(err)
	}
	f.complete(holds)
	var ran []store.Claim
	for range 3 {
		ran = append(ran, f.claim("w", 10).Claims...)
	}
	if len(ran) != 1 || ran[0].RunID != runID("a", 2) {
		t.Errorf("ran %+v, want the run-now", ran)
	}
	beats, _, err := f.Beats(f.ctx, "default", 1, "")
	if err != nil || beats[0].SettledAt == nil {
		t.Errorf("the beat waits for a paused flow: %+v, %v", beats, err)
	}
}

func TestMorePlacesOfAKeyAreThereForThoseThatWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	for n := range 4 {
		f.runNowOf(function("a", key(1)), n)
	}
	if claimed := f.claim("w", 10); len(claimed.Claims) != 1 {
		t.Fatalf("%d run, want 1", len(claimed.Claims))
	}
	f.put(function("a", key(3), overlap(store.OverlapAllow)))
	ran := 0
	for range 3 {
		ran += len(f.claim("w", 10).Claims)
	}
	if ran != 2 {
		t.Errorf("%d more run, want 2", ran)
	}
}

// runNowOf puts the flow and asks for a run of it.
func (f *fixture) runNowOf(flow store.DataFlow, n int) {
	f.Helper()
	f.put(flow)
	f.runNow(flow.Name, runID(flow.Name, n+1))
}

func TestSlotsThatWaitForAPlaceDoNotKeepRunNowsOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{MaxQueued: 3})
	f.pass(0)
	for n := range 6 {
		f.put(function(fmt.Sprint("flow-", n), everyHour, key(1)))
	}
	f.put(function("free"))
	f.beat()
	f.claim("w", 10)
	for n := range 3 {
		f.runNow("free", runID("free", n+1))
	}
	_, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: "free", ID: runID("free", 4)})
	if !errors.Is(err, store.ErrQueueFull) {
		t.Errorf("the fourth run-now: %v, want %v", err, store.ErrQueueFull)
	}
}

// One that could start, since its own limit is higher, waits behind one that cannot.
func TestNobodyOvertakesWhoWaitsForAPlace(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.runNowOf(function("a", key(2)), 0)
	holds := f.claimOne("w")
	f.runNowOf(function("b", key(1)), 0)
	if waits := f.claim("w", 10); len(waits.Claims) != 0 {
		t.Fatalf("claimed %+v", waits.Claims)
	}
	f.runNowOf(function("c", key(2)), 0)
	if waits := f.claim("w", 10); len(waits.Claims) != 0 {
		t.Fatalf("claimed %+v", waits.Claims)
	}
	f.complete(holds)
	if next := f.claim("w", 10).Claims; len(next) != 2 || next[0].Flow.Name != "b" {
		t.Errorf("then run %+v, want b, and c beside it", next)
	}
}

// Of two ends of a flow in one batch, the first is not accepted: the second is not made from what it would have been.
func TestAnEndThatIsNotAcceptedLeavesNoTraceInTheNextOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", overlap(store.OverlapAllow)))
	f.runNow("a", runID("a", 1))
	f.runNow("a", runID("a", 2))
	claims := f.claim("w", 2).Claims
	if _, err := f.Complete(f.ctx, f.p, failure(claims[0])); err != nil {
		t.Fatal(err)
	}
	batch := append(success(claims[0]), failure(claims[1])...)
	written, err := f.Complete(f.ctx, f.p, batch)
	if err != nil || !errors.Is(written.Answers[0].Err, store.ErrStale) || written.Answers[1].Err != nil {
		t.Fatalf("%+v, %v", written.Answers, err)
	}
	if flow := f.flow("a"); flow.Failures != 2 {
		t.Errorf("%d failures in a row, want 2", flow.Failures)
	}
}

func TestARunSaysWhenItWasAskedForHoweverLongItWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.runNowOf(function("a", key(1), overlap(store.OverlapAllow)), 0)
	f.runNow("a", runID("a", 2))
	holds := f.claim("w", 10).Claims[0]
	asked := f.run(runID("a", 2)).CreatedAt
	f.pass(3 * time.Second)
	f.complete(holds)
	last := f.claimOne("w")
	for range 2 {
		if run := f.run(last.RunID); asked == nil || run.CreatedAt == nil || !run.CreatedAt.Equal(*asked) || !run.StartedAt.After(*asked) {
			t.Errorf("%s: created %v, started %v; asked for %v", run.Status, run.CreatedAt, run.StartedAt, asked)
		}
		if _, err := f.Complete(f.ctx, f.p, success(last)); err != nil {
			t.Fatal(err)
		}
	}
}

// What scripts look at of a flow is bounded, and so is how many of its run-nows begin before the others have ended: all of these fail, and
// wait for a heartbeat that lets them be tried again.
func TestNoMoreRunNowsBeginThanScriptsLookAt(t *testing.T) {
	t.Parallel()
	const most, asked = 1000, 1020
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", overlap(store.OverlapAllow), func(flow *store.DataFlow) {
		flow.Retry = &store.Retry{Attempts: 2, Initial: store.Duration(time.Second), Max: store.Duration(time.Second)}
	}))
	for n := range asked {
		f.runNow("a", runID("a", n+1))
	}
	begun, succeeded := 0, 0
	for claims := f.claim("w", 100).Claims; len(claims) > 0; claims = f.claim("w", 100).Claims {
		begun += len(claims)
		failed := success(claims...)
		for i := range failed {
			failed[i].Outcome = store.Outcome{Status: store.StatusFailed, Reason: store.ReasonError, Error: "down"}
		}
		if _, err := f.Complete(f.ctx, f.p, failed); err != nil {
			t.Fatal(err)
		}
	}
	if begun != most {
		t.Errorf("%d began, want %d", begun, most)
	}
	f.pass(time.Minute)
	f.beat()
	for claims := f.claim("w", 100).Claims; len(claims) > 0; claims = f.claim("w", 100).Claims {
		succeeded += len(claims)
		f.complete(claims...)
	}
	if succeeded != asked {
		t.Errorf("%d succeeded, want %d", succeeded, asked)
	}
}
