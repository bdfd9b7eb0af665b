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
	"github.com/systole-run/systole/worker"
)

// manyFlows is how many due flows the test drains.
const manyFlows = 50_000

// slowest is what no script call should take, and tolerated the share of calls that may take longer by the clock: what
// SLOWLOG has counts waiting for a processor too. store's TestNoScriptTakesLongWithManyFlowsDue has less tolerance, since
// it counts processor time.
const (
	slowest   = 5 * time.Millisecond
	tolerated = 0.25
)

// 50,000 due flows drain completely in one beat over two workers, each once, and no script holds Redis up.
func TestFiftyThousandDueFlowsDrainInOneBeatWithoutSlowScripts(t *testing.T) {
	server := testenv.StartRedis(t, "--slowlog-log-slower-than", fmt.Sprint(slowest.Microseconds()), "--slowlog-max-len", "4096")
	server.Prioritize(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, PoolSize: 32})
	t.Cleanup(func() { _ = client.Close() })
	h := newHarness(t)
	h.useRedis(client)
	h.putMany(manyFlows)
	if err := client.Do(t.Context(), "SLOWLOG", "RESET").Err(); err != nil {
		t.Fatal(err)
	}

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
	h.start(worker.Config{ID: "w1", Concurrency: 200}, run)
	h.start(worker.Config{ID: "w2", Concurrency: 200}, run)
	began := time.Now()
	settled := h.beat()
	t.Logf("drained in %s", time.Since(began).Round(time.Millisecond))

	if settled.FlowsDue != manyFlows || settled.FlowsTriggered != manyFlows || settled.Succeeded != manyFlows {
		t.Errorf("settled as %+v", settled)
	}
	for n := range counts {
		if times := counts[n].Load(); times != 1 {
			t.Fatalf("flow many-%d ran %d times", n, times)
		}
	}
	h.checkSlowLog()
}

// checkSlowLog counts the script calls that took long.
func (h *harness) checkSlowLog() {
	h.t.Helper()
	entries, err := h.redis.(*redis.Client).SlowLogGet(h.t.Context(), 4096).Result()
	if err != nil {
		h.t.Fatal(err)
	}
	slow := 0
	for _, entry := range entries {
		if strings.EqualFold(entry.Args[0], "evalsha") {
			slow++
		}
	}
	calls := 2 * manyFlows / 50 // claims and completions
	h.t.Logf("%d of more than %d script calls took over %s", slow, calls, slowest)
	if float64(slow) > tolerated*float64(calls) {
		h.t.Errorf("%d of %d script calls took over %s", slow, calls, slowest)
	}
}

// useRedis moves the harness to another Redis.
func (h *harness) useRedis(client redis.UniversalClient) {
	h.t.Helper()
	h.redis, h.keyPrefix = client, "many"
	st, err := store.New(client, store.Config{Prefix: h.keyPrefix})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store = st
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
