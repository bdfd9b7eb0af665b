package worker_test

import (
	"context"
	"fmt"
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

// manyFlows is how many due flows the test drains.
const manyFlows = 50_000

// slowest is what script calls may take of a processor, on average. What single calls take, store's
// TestNoScriptTakesLongWithManyFlowsDue measures.
const slowest = 5 * time.Millisecond

// 50,000 due flows drain completely in one beat over two workers, each once, and no script holds Redis up.
func TestFiftyThousandDueFlowsDrainInOneBeatWithoutSlowScripts(t *testing.T) {
	server := testenv.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, PoolSize: 32})
	t.Cleanup(func() { _ = client.Close() })
	h := newHarness(t)
	h.useRedis(client)
	h.putMany(manyFlows)
	calls, used := h.scriptCalls(), server.CPUTime(t)

	var ran atomic.Int64
	counts := make([]atomic.Int32, manyFlows)
	run := func(_ context.Context, task executor.Task) executor.Result {
		var n int
		if _, err := fmt.Sscanf(task.Flow.Name, "many-%d", &n); err != nil {
			return executor.Result{Err: err}
		}
		counts[n].Add(1)
		ran.Add(1)
		return executor.Result{}
	}
	for _, id := range []string{"w1", "w2"} { // however long it takes, no lease ends
		h.start(worker.Config{ID: id, Concurrency: 200, Lease: time.Hour}, run)
	}
	began := time.Now()
	settled := h.waitSettledWhile(h.send(), ran.Load)
	t.Logf("drained in %s", time.Since(began).Round(time.Millisecond))

	if settled.FlowsDue != manyFlows || settled.FlowsTriggered != manyFlows || settled.Succeeded != manyFlows {
		t.Errorf("settled as %+v", settled)
	}
	for n := range counts {
		if times := counts[n].Load(); times != 1 {
			t.Fatalf("flow many-%d ran %d times", n, times)
		}
	}
	calls, used = h.scriptCalls()-calls, server.CPUTime(t)-used
	if usual := used / time.Duration(calls); usual > slowest {
		t.Errorf("%d script calls took %s of a processor each, allowed is %s", calls, usual, slowest)
	} else {
		t.Logf("%d script calls took %s of a processor each", calls, usual)
	}
}

// waitSettledWhile waits until a beat has settled, for as long as there is progress.
func (h *harness) waitSettledWhile(beat sent, progress func() int64) trigger.Settled {
	h.t.Helper()
	for before := int64(-1); ; {
		ctx, cancel := context.WithTimeout(h.t.Context(), patience)
		settled, err := beat.watch.Wait(ctx, beat.id)
		cancel()
		if err == nil {
			return settled
		}
		now := progress()
		if now == before {
			h.t.Fatalf("beat %s stands still at %d: %v", beat.id, now, err)
		}
		before = now
	}
}

// scriptCalls is how many calls of scripts Redis has had.
func (h *harness) scriptCalls() (calls int) {
	h.t.Helper()
	info, err := h.redis.Info(h.t.Context(), "commandstats").Result()
	if err != nil {
		h.t.Fatal(err)
	}
	_, stats, _ := strings.Cut(info, "cmdstat_evalsha:")
	if _, err := fmt.Sscanf(stats, "calls=%d,", &calls); err != nil {
		h.t.Fatalf("%v in %s", err, info)
	}
	return calls
}

// putMany makes count flows that are due at once.
func (h *harness) putMany(count int) {
	h.t.Helper()
	flows := make([]store.DataFlow, count)
	for n := range flows {
		flows[n] = store.DataFlow{
			Name: fmt.Sprintf("many-%d", n), Every: store.Duration(time.Hour), Function: &store.FunctionSpec{Name: "f"},
		}
	}
	if _, err := h.store.PutFlows(h.t.Context(), "", flows); err != nil {
		h.t.Fatal(err)
	}
}
