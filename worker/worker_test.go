package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
	"github.com/systole-run/systole/worker"
)

// R3.1, R3.3, R6.4: a heartbeat runs what is due, each flow once, over all workers.
func TestABeatRunsEachDueFlowOnceOverAllWorkers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.put("flow", 60)
	ran := newTally()
	gate := make(chan struct{})
	var waiting atomic.Int32
	run := func(_ context.Context, task executor.Task) executor.Result {
		ran.add(task)
		// The first run of each worker waits for the other's, so that both must have got some.
		if waiting.Add(1) == 8 {
			close(gate)
		}
		<-gate
		return executor.Result{}
	}
	h.start(worker.Config{ID: "w1", Concurrency: 4}, run)
	h.start(worker.Config{ID: "w2", Concurrency: 4}, run)

	settled := h.beat()

	if settled.FlowsDue != 60 || settled.FlowsTriggered != 60 || settled.Succeeded != 60 || settled.Failed != 0 {
		t.Errorf("settled as %+v", settled)
	}
	for _, run := range h.runs() {
		if n := ran.count(run.Flow); n != 1 {
			t.Errorf("flow %s ran %d times", run.Flow, n)
		}
	}
	if len(ran.flows) != 60 || ran.workers["w1"] == 0 || ran.workers["w2"] == 0 {
		t.Errorf("%d flows ran; by worker: %v", len(ran.flows), ran.workers)
	}
	if again := h.beat(); again.FlowsDue != 0 || again.FlowsTriggered != 0 {
		t.Errorf("the next beat found %+v, want nothing due", again)
	}
}

// R3.4: an error in one DataFlow never stops the others.
func TestAFailingFlowLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.put("flow", 10)
	h.start(worker.Config{Concurrency: 2}, func(_ context.Context, task executor.Task) executor.Result {
		if task.Flow.Name == "flow-3" {
			return executor.Result{Err: errors.New("no such table"), Reason: store.ReasonError}
		}
		return executor.Result{}
	})
	settled := h.beat()
	if settled.Succeeded != 9 || settled.Failed != 1 {
		t.Errorf("settled as %+v", settled)
	}
	for _, run := range h.runs() {
		if failed := run.Flow == "flow-3"; failed != (run.Status == store.StatusFailed) || failed != (run.Error == "no such table") {
			t.Errorf("run of %s is %s: %q", run.Flow, run.Status, run.Error)
		}
	}
}

// R1.1: nothing runs without a trigger from outside, however due it is.
func TestNothingRunsWithoutABeat(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ran := newTally()
	h.start(worker.Config{Lease: time.Second}, func(_ context.Context, task executor.Task) executor.Result {
		ran.add(task)
		return executor.Result{}
	})
	h.putFlow(store.DataFlow{Name: "due", Every: store.Duration(100 * time.Millisecond), Function: &store.FunctionSpec{Name: "f"}})
	h.beat()
	// It comes due again and again; several leases' time passes without another beat. A worker that is held up for as long may have
	// lost its lease, and repeats what it ran.
	<-time.After(1500 * time.Millisecond)
	occurrences := map[string]bool{}
	for _, run := range h.runs() {
		occurrences[run.OccurrenceID] = true
	}
	if n := ran.count("due"); n == 0 || len(occurrences) != 1 {
		t.Errorf("one beat led to %d runs of %d occurrences", n, len(occurrences))
	}
}

// R3.5: results are logged.
func TestEachResultIsLoggedWithFlowRunAndReason(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.put("flow", 1)
	var out syncBuffer
	h.start(worker.Config{Logger: slog.New(slog.NewJSONHandler(&out, nil))}, func(context.Context, executor.Task) executor.Result {
		return executor.Result{Err: errors.New("disk full"), Reason: store.ReasonError}
	})
	h.beat()
	log := out.String()
	for _, want := range []string{`"msg":"run ended"`, `"flow":"flow-0"`, `"status":"failed"`, `"reason":"error"`, `"error":"disk full"`, `"run_id":"flow-0~`} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %s:\n%s", want, log)
		}
	}
}

func TestARunNowRunsAtOnceWithItsParams(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(store.DataFlow{Name: "report", Function: &store.FunctionSpec{Name: "f"}})
	params := make(chan string, 1)
	h.start(worker.Config{}, func(_ context.Context, task executor.Task) executor.Result {
		params <- string(task.Params)
		return executor.Result{}
	})
	publisher, err := trigger.NewPublisher(h.nc, trigger.PublisherConfig{Streams: trigger.StreamConfig{Prefix: h.prefix}, AckTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.PublishRun(t.Context(), trigger.RunRequest{Group: "default", Flow: "report", Params: []byte(`{"day":"2026-11-22"}`)}); err != nil {
		t.Fatal(err)
	}
	if got := <-params; got != `{"day":"2026-11-22"}` {
		t.Errorf("params are %s", got)
	}
	eventually(t, "the run has succeeded", func() bool {
		runs := h.runs()
		return len(runs) == 1 && runs[0].Status == store.StatusSuccess && runs[0].Slot == nil
	})
}

func TestTheTimeoutOfAFlowEndsItsRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(store.DataFlow{Name: "slow", Every: store.Duration(time.Hour), Timeout: store.Duration(50 * time.Millisecond), Function: &store.FunctionSpec{Name: "f"}})
	h.start(worker.Config{}, func(ctx context.Context, _ executor.Task) executor.Result {
		<-ctx.Done()
		return executor.Result{Err: context.Cause(ctx), Reason: store.ReasonTimeout}
	})
	if settled := h.beat(); settled.Failed != 1 {
		t.Errorf("settled as %+v", settled)
	}
	if run := h.runs()[0]; run.Reason != store.ReasonTimeout {
		t.Errorf("run is %+v", run)
	}
}

func TestTheLeaseOfALongRunIsRenewedAndItsOutputCanBeWatched(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.put("long", 1)
	const lease = 10 * time.Second // renewed each third of it: a machine that is busy for a few seconds loses none
	started, finish := make(chan struct{}), make(chan struct{})
	h.start(worker.Config{ID: "w1", Lease: lease}, func(_ context.Context, task executor.Task) executor.Result {
		close(started)
		_, _ = task.Log.Write([]byte("half way\n"))
		<-finish
		return executor.Result{}
	})
	beat := h.send()
	<-started
	h.start(worker.Config{ID: "w2", Lease: lease}, func(context.Context, executor.Task) executor.Result {
		t.Error("the other worker took a flow whose lease is renewed")
		return executor.Result{}
	})
	h.storesOutput("half way\n")
	<-time.After(lease + lease/4) // by then the first lease would be over, and the other worker have looked
	close(finish)
	if settled := h.waitSettled(beat); settled.Succeeded != 1 {
		t.Errorf("settled as %+v", settled)
	}
}

// A run that says nothing more after that would else be watched in vain until it ends.
func TestOutputThatCouldNotBeStoredIsStoredWithTheNextRenewal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var refused atomic.Bool
	h.redis.AddHook(refusal(func(cmd redis.Cmder) bool {
		args := cmd.Args()
		output, _ := args[len(args)-1].([]byte)
		return string(output) == "half way\n" && refused.CompareAndSwap(false, true)
	}))
	h.put("long", 1)
	finish := make(chan struct{})
	h.start(worker.Config{Lease: time.Second}, func(_ context.Context, task executor.Task) executor.Result {
		_, _ = task.Log.Write([]byte("half way\n"))
		<-finish
		return executor.Result{}
	})
	beat := h.send()
	h.storesOutput("half way\n")
	if !refused.Load() {
		t.Error("nothing was refused")
	}
	close(finish)
	h.waitSettled(beat)
}

// refusal has Redis refuse the calls that it picks.
type refusal func(redis.Cmder) bool

func (r refusal) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r refusal) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r refusal) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if r(cmd) {
			cmd.SetErr(errors.New("ERR refused"))
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

func TestADrainLetsRunsFinish(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.put("flow", 1)
	started, finish := make(chan struct{}), make(chan struct{})
	w := h.start(worker.Config{}, func(ctx context.Context, _ executor.Task) executor.Result {
		close(started)
		<-finish
		return executor.Result{Err: ctx.Err()}
	})
	beat := h.send()
	<-started
	w.stop()
	close(finish)
	if err := w.wait(t); err != nil {
		t.Errorf("drain gave %v", err)
	}
	if settled := h.waitSettled(beat); settled.Succeeded != 1 {
		t.Errorf("settled as %+v", settled)
	}
}

func TestWhatADrainCannotFinishIsHandedBackWithoutSpendingAnAttempt(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *running){
		"after the drain timeout": func(w *running) { w.stop() },
		"at once when aborted":    func(w *running) { w.stop(); w.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.put("flow", 3)
			started := make(chan struct{}, 3)
			cfg := worker.Config{ID: "w1", DrainTimeout: 50 * time.Millisecond}
			if strings.Contains(name, "aborted") {
				cfg.DrainTimeout = time.Hour
			}
			w := h.start(cfg, func(ctx context.Context, _ executor.Task) executor.Result {
				started <- struct{}{}
				<-ctx.Done()
				return executor.Result{Err: context.Cause(ctx), Reason: store.ReasonError}
			})
			beat := h.send()
			for range 3 {
				<-started
			}
			attempts := make(chan int, 3)
			h.start(worker.Config{ID: "w2"}, func(_ context.Context, task executor.Task) executor.Result {
				attempts <- task.Attempt
				return executor.Result{}
			})
			end(w)
			if err := w.wait(t); err != nil {
				t.Errorf("drain gave %v", err)
			}
			settled := h.waitSettled(beat)
			if settled.FlowsTriggered != 3 || settled.Succeeded != 3 || settled.Failed != 0 {
				t.Errorf("settled as %+v", settled)
			}
			for range 3 {
				if attempt := <-attempts; attempt != 1 {
					t.Errorf("handed back as attempt %d", attempt)
				}
			}
		})
	}
}

func TestARunIsCancelledWhenItsLeaseCannotBeRenewed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.put("flow", 1)
	causes := make(chan error, 2)
	release := make(chan struct{})
	// The lease is not over by itself before it is stolen, and is looked at each third of it.
	h.start(worker.Config{ID: "w1", Lease: 10 * time.Second}, func(ctx context.Context, task executor.Task) executor.Result {
		if task.Attempt > 1 {
			return executor.Result{}
		}
		close(release)
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return executor.Result{Err: context.Cause(ctx)}
	})
	beat := h.send()
	<-release
	h.steal("flow-0")
	if cause := <-causes; !errors.Is(cause, executor.ErrLeaseLost) {
		t.Errorf("cancelled with %v", cause)
	}
	if settled := h.waitSettled(beat); settled.Succeeded != 1 || settled.FlowsTriggered != 1 {
		t.Errorf("settled as %+v", settled)
	}
}

func TestAWorkerThatEndsAtOnceDoesNotWaitForARedisThatIsGone(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	h := newHarness(t)
	h.useRedis(client)
	h.put("flow", 1)
	started := make(chan struct{})
	w := h.start(worker.Config{DrainTimeout: time.Hour}, func(ctx context.Context, _ executor.Task) executor.Result {
		close(started)
		<-ctx.Done()
		return executor.Result{Err: context.Cause(ctx)}
	})
	h.send()
	<-started
	server.Kill()
	w.stop()
	w.Abort()
	if err := w.wait(t); err == nil || !strings.Contains(err.Error(), "1 occurrences could be neither completed nor handed back") {
		t.Errorf("the worker ended with %v", err)
	}
}
