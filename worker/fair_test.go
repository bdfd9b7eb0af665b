package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/worker"
)

// fairDelay is how long a flooded group may keep the first run of another one waiting.
const fairDelay = 2 * time.Second

// Groups are served in turn: one with very many flows due leaves another its share of the slots. While the flood goes on, one group
// after the other gets its heartbeat, and what counts is the time from then until its flow starts. One of them may meet a
// moment in which the machine has no time for this test; half of them do not, and a worker that is not fair delays them all,
// by as long as the flood takes.
func TestAFloodedGroupDoesNotKeepAnotherOneWaiting(t *testing.T) {
	t.Parallel()
	const flood, others = 100_000, 9
	h := newHarness(t)
	flows := make([]store.DataFlow, 0, flood+others)
	for i := range flood {
		flows = append(flows, every(fmt.Sprintf("flood-%d", i), func(f *store.DataFlow) { f.Group = "flood" }))
	}
	for i := range others {
		flows = append(flows, every(fmt.Sprintf("drop-%d", i), func(f *store.DataFlow) { f.Group = fmt.Sprintf("drop-%d", i) }))
	}
	began := time.Now()
	if _, err := h.store.PutFlows(t.Context(), "", flows); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d flows were put in %s", len(flows), time.Since(began).Round(time.Millisecond))

	var flooded atomic.Int64
	on := make(chan struct{})
	started := make(chan time.Time)
	h.start(worker.Config{Concurrency: 8}, func(_ context.Context, task executor.Task) executor.Result {
		if task.Flow.Group != "flood" {
			started <- time.Now()
		} else if flooded.Add(1) == 1000 {
			close(on)
		}
		return executor.Result{}
	})
	h.sendTo("flood")
	<-on
	var delays []time.Duration
	for i := range others {
		sent := time.Now()
		h.sendTo(fmt.Sprintf("drop-%d", i))
		delays = append(delays, (<-started).Sub(sent))
	}
	if ran := flooded.Load(); ran >= flood {
		t.Fatalf("the flood of %d was over before the others had run: this test measures nothing", ran)
	}
	slices.Sort(delays)
	if median := delays[others/2]; median > fairDelay {
		t.Errorf("the first runs of other groups came %s after their heartbeats, want at most %s", delays, fairDelay)
	}
	t.Logf("the first runs of other groups came %s after their heartbeats, %d of the flood had run", delays, flooded.Load())
}
