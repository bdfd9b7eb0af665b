package worker_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
	"github.com/systole-run/systole/worker"
)

// every makes a flow of the test's that is due at once, and after that as seldom as it gets.
func every(name string, change func(*store.DataFlow)) store.DataFlow {
	flow := store.DataFlow{Name: name, Every: store.Duration(time.Hour), Function: &store.FunctionSpec{Name: "f"}}
	if change != nil {
		change(&flow)
	}
	return flow
}

func (h *harness) flow(name string) store.FlowView {
	h.t.Helper()
	flow, err := h.store.Flow(h.t.Context(), "default", name)
	if err != nil {
		h.t.Fatal(err)
	}
	return flow
}

func (h *harness) events() *trigger.Events {
	h.t.Helper()
	events, err := trigger.NewEvents(h.nc, h.prefix)
	if err != nil {
		h.t.Fatal(err)
	}
	return events
}

func TestAFailedOccurrenceIsRetriedByTheNextBeatUnderTheSameIDUntilItSucceeds(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(every("shaky", func(f *store.DataFlow) {
		f.Retry = &store.Retry{Attempts: 3, Initial: store.Duration(time.Millisecond), Max: store.Duration(time.Millisecond)}
	}))
	var calls atomic.Int32
	h.start(worker.Config{}, func(context.Context, executor.Task) executor.Result {
		if calls.Add(1) < 3 {
			return executor.Failure(store.ReasonError, errors.New("not yet"))
		}
		return executor.Result{}
	})
	for range 3 {
		eventually(t, "the next attempt is due", func() bool { return h.flow("shaky").Due })
		h.beat()
	}
	runs := h.runs()
	if len(runs) != 3 || calls.Load() != 3 {
		t.Fatalf("%d runs, %d calls, want 3", len(runs), calls.Load())
	}
	for i, run := range runs { // the newest first
		if run.OccurrenceID != runs[0].OccurrenceID || run.Attempt != 3-i {
			t.Errorf("run %d: %+v", i, run)
		}
	}
	if runs[0].Status != store.StatusSuccess || h.flow("shaky").Failures != 0 {
		t.Errorf("ended as %s, flow %+v", runs[0].Status, h.flow("shaky"))
	}
}

func TestAnErrorThatIsPermanentIsNotRetriedAndEndsAmongTheDead(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(every("hopeless", func(f *store.DataFlow) { f.Retry = &store.Retry{Attempts: 5} }))
	h.start(worker.Config{}, func(context.Context, executor.Task) executor.Result {
		return executor.Failure(store.ReasonError, executor.Permanent(errors.New("no such table")))
	})
	h.beat()
	dead, _, err := h.store.Dead(t.Context(), "default", 0, "")
	if err != nil || len(dead) != 1 || dead[0].Flow != "hopeless" || h.flow("hopeless").Failures != 1 {
		t.Fatalf("dead are %+v, %v", dead, err)
	}
}

func TestAFlowThatKeepsFailingIsPausedAndRunsAgainOnceResumed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(every("broken", func(f *store.DataFlow) { f.PauseAfter = 1 }))
	var fail atomic.Bool
	fail.Store(true)
	h.start(worker.Config{}, func(context.Context, executor.Task) executor.Result {
		if fail.Load() {
			return executor.Failure(store.ReasonError, errors.New("down"))
		}
		return executor.Result{}
	})
	h.beat()
	if flow := h.flow("broken"); !flow.Paused || flow.PausedReason == "" {
		t.Fatalf("not paused: %+v", flow)
	}
	fail.Store(false)
	// A paused flow still runs when it is asked for.
	id, err := h.store.Enqueue(t.Context(), store.RunNow{Group: "default", Flow: "broken"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.events().Wake("default"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run-now succeeds", func() bool {
		run, err := h.store.Run(t.Context(), "default", id)
		return err == nil && run.Status == store.StatusSuccess
	})
	if err := h.store.ResumeFlow(t.Context(), "default", "broken"); err != nil {
		t.Fatal(err)
	}
	if flow := h.flow("broken"); flow.Paused || flow.Failures != 0 {
		t.Fatalf("not resumed: %+v", flow)
	}
}

func TestACancelledRunEndsAtOnceAndIsNotRetried(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(every("long", func(f *store.DataFlow) { f.Retry = &store.Retry{Attempts: 3} }))
	begun := make(chan string, 1)
	// The lease is long, so that no renewal would tell in time: only the hint does.
	h.start(worker.Config{Lease: time.Hour}, func(ctx context.Context, task executor.Task) executor.Result {
		begun <- task.RunID
		<-ctx.Done()
		return executor.Interrupted(ctx, nil)
	})
	beat := h.send()
	id := <-begun
	if run, err := h.store.CancelRun(t.Context(), "default", id, "wrong day"); err != nil || !run.CancelRequested {
		t.Fatalf("%+v, %v", run, err)
	}
	if err := h.events().Cancel("default", id); err != nil {
		t.Fatal(err)
	}
	h.waitSettled(beat)
	run, err := h.store.Run(t.Context(), "default", id)
	if err != nil || run.Status != store.StatusCancelled || run.Reason != store.ReasonCancelled || run.Error != "cancelled: wrong day" || run.CancelRequested {
		t.Fatalf("%+v, %v", run, err)
	}
	if flow := h.flow("long"); flow.Due || flow.Failures != 0 {
		t.Errorf("flow stands at %+v", flow)
	}
	if _, err := h.store.CancelRun(t.Context(), "default", id, ""); !errors.Is(err, store.ErrEnded) {
		t.Errorf("cancelled once more: %v", err)
	}
}

func TestARunNowThatWaitsForItsFlowStartsAsSoonAsThatIsFree(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(every("busy", nil))
	begun, proceed := make(chan string, 2), make(chan struct{})
	h.start(worker.Config{Lease: time.Hour}, func(_ context.Context, task executor.Task) executor.Result {
		begun <- task.RunID
		<-proceed
		return executor.Result{}
	})
	h.send()
	<-begun
	id, err := h.store.Enqueue(t.Context(), store.RunNow{Group: "default", Flow: "busy"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.events().Wake("default"); err != nil {
		t.Fatal(err)
	}
	close(proceed)
	if got := <-begun; got != id {
		t.Errorf("%s began, want %s", got, id)
	}
}

func TestEverySlotIsCaughtUpUnderOneBeatWhereTheFlowAsksForIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(every("backfill", func(f *store.DataFlow) {
		f.Every, f.Catchup, f.CatchupLimit = store.Duration(time.Minute), store.CatchupAll, 4
	}))
	// Ten minutes pass without a heartbeat: scripts take the largest time that they have seen.
	later := time.Now().Add(10 * time.Minute)
	if err := h.redis.HSet(t.Context(), h.keyPrefix+":{default/0}:meta", "clock", later.UnixMicro()).Err(); err != nil {
		t.Fatal(err)
	}
	var slots []time.Time
	h.start(worker.Config{Concurrency: 1}, func(_ context.Context, task executor.Task) executor.Result {
		slots = append(slots, task.Slot) // one at a time: the flow never runs beside itself
		return executor.Result{}
	})
	settled := h.beat()
	if settled.FlowsTriggered != 4 || settled.Succeeded != 4 {
		t.Fatalf("settled as %+v", settled)
	}
	for i := 1; i < len(slots); i++ {
		if slots[i].Sub(slots[i-1]) != time.Minute {
			t.Errorf("slots %v", slots)
		}
	}
	flow := h.flow("backfill")
	if flow.SlotsRan != 4 || flow.SlotsMissed < 6 || flow.SlotsMissed > 7 {
		t.Errorf("ran %d, missed %d", flow.SlotsRan, flow.SlotsMissed)
	}
	ranges, err := h.store.Slots(t.Context(), "default", "backfill", 100)
	if err != nil {
		t.Fatal(err)
	}
	missed := ranges[len(ranges)-1]
	if missed.Outcome != store.SlotMissed || missed.Reason != store.ReasonCatchupLimit || int64(missed.Count) != flow.SlotsMissed {
		t.Errorf("ledger %+v", ranges)
	}
	at, err := h.store.SlotAt(t.Context(), "default", "backfill", missed.From)
	if err != nil || at != missed {
		t.Errorf("slot at %s: %+v, %v", missed.From, at, err)
	}
}

// A newer version has changed a flow into something that this worker cannot read, while it runs. Nobody else has to wait for that.
func TestARunWhoseFlowCannotBeReadAnyMoreFreesItsSlot(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(every("newer", nil))
	begun, proceed := make(chan struct{}), make(chan struct{})
	h.start(worker.Config{Concurrency: 1, Lease: time.Hour}, func(_ context.Context, task executor.Task) executor.Result {
		if task.Flow.Name == "newer" {
			close(begun)
			<-proceed
		}
		return executor.Result{}
	})
	h.send()
	<-begun
	h.putFlow(every("newer", func(f *store.DataFlow) { f.Description = "changed" }))
	if err := h.redis.HSet(t.Context(), h.keyPrefix+":{default/0}:defs", "newer", `{"name":"newer","cron":"?"}`).Err(); err != nil {
		t.Fatal(err)
	}
	h.putFlow(every("other", nil))
	beat := h.send()
	close(proceed)
	if settled := h.waitSettled(beat); settled.Succeeded != 1 {
		t.Errorf("settled as %+v", settled)
	}
}

// A group that is only run on demand has no heartbeat that would tell of it.
func TestWhatWasAskedForWhileNobodyListenedRunsOnceSomebodyDoes(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	h := newHarnessOn(t, testenv.Connect(t, server.URL), testenv.UniqueName("t"))
	h.putFlow(every("asked", func(f *store.DataFlow) { f.Every = 0 }))
	ask := func() (id string) {
		t.Helper()
		id, err := h.store.Enqueue(t.Context(), store.RunNow{Group: "default", Flow: "asked"})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	succeeded := func(id string) func() bool {
		return func() bool {
			run, err := h.store.Run(t.Context(), "default", id)
			return err == nil && run.Status == store.StatusSuccess
		}
	}
	// A worker that has died holds one run, another one waits.
	dead := ask()
	if claimed, err := h.store.Claimer(h.store.Partitions("default")[0], "dead", 10*time.Millisecond).Claim(t.Context(), 1); err != nil || len(claimed.Claims) != 1 {
		t.Fatalf("claimed %+v, %v", claimed, err)
	}
	waiting := ask()
	h.start(worker.Config{}, func(context.Context, executor.Task) executor.Result { return executor.Result{} })
	eventually(t, "what waited has run", succeeded(waiting))
	eventually(t, "what was held has been taken over", func() bool {
		runs := h.runs()
		return len(runs) == 3 && slices.ContainsFunc(runs, func(run store.Run) bool {
			return run.OccurrenceID == dead && run.Attempt == 2 && run.Status == store.StatusSuccess
		})
	})
	server.Stop()
	eventually(t, "the connection is cut", func() bool { return !h.nc.IsConnected() })
	cut := ask()
	server.Restart(t, true)
	eventually(t, "what was asked for meanwhile has run", succeeded(cut))
}

// Tokens are counted in each group by itself. One worker may hold the same token, and so the same run id, in two of them.
func TestRunsOfTwoGroupsThatHaveTheSameIDAreKeptApart(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	token := time.Now().Add(24 * time.Hour).UnixMicro() // each next one is one more, as long as no clock has come so far
	groups := []string{"left", "right"}
	for _, group := range groups {
		h.putFlow(every("same", func(f *store.DataFlow) { f.Group = group }))
		if err := h.redis.HSet(t.Context(), h.keyPrefix+":{"+group+"/0}:meta", "token", token).Err(); err != nil {
			t.Fatal(err)
		}
	}
	begun := make(chan string, len(groups))
	h.start(worker.Config{Lease: time.Hour}, func(ctx context.Context, task executor.Task) executor.Result {
		begun <- task.RunID
		<-ctx.Done()
		return executor.Interrupted(ctx, nil)
	})
	beats := []sent{h.sendTo(groups[0]), h.sendTo(groups[1])}
	id := <-begun
	if other := <-begun; other != id {
		t.Fatalf("runs are %s and %s, of the same token they are meant to be", id, other)
	}
	for i, group := range groups {
		if _, err := h.store.CancelRun(t.Context(), group, id, ""); err != nil {
			t.Fatal(err)
		}
		if err := h.events().Cancel(group, id); err != nil {
			t.Fatal(err)
		}
		if settled := h.waitSettled(beats[i]); settled.Failed != 1 {
			t.Errorf("settled as %+v", settled)
		}
	}
}
