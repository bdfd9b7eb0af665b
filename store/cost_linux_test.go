package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// No script may hold Redis up for longer than this, with 100,000 flows due and batches as large as a worker's by default.
const (
	longestScript = 5 * time.Millisecond
	batchSize     = 50
)

// What is measured is processor time of Redis' command thread, call by call: time on the clock, which SLOWLOG has,
// counts whatever else the machine does.
func TestNoScriptTakesLongWithManyFlowsDue(t *testing.T) {
	server := testenv.StartRedis(t, "--appendonly", "no", "--activerehashing", "no", "--hz", "1")
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, PoolSize: 16})
	t.Cleanup(func() { _ = client.Close() })
	s, err := store.New(client, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const flows = 100_000
	took := map[string][]time.Duration{}
	measure := func(script string, call func() error) {
		t.Helper()
		before := server.CPUTime(t)
		if err := call(); err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		took[script] = append(took[script], server.CPUTime(t)-before)
	}
	batch := make([]store.DataFlow, 100)
	for start := 0; start < flows; start += len(batch) {
		for i := range batch {
			batch[i] = store.DataFlow{
				Name: fmt.Sprintf("flow-%d", start+i), Every: store.Duration(time.Hour), Function: &store.FunctionSpec{Name: "f"},
			}
		}
		measure("put_flow", func() error { _, err := s.PutFlows(t.Context(), "flows", batch); return err })
	}
	p := s.Partitions(store.DefaultGroup)[0]
	for n := range 10 {
		measure("accept_beat", func() error {
			key := fmt.Sprintf("%d-1", n+1)
			_, err := s.AcceptBeat(t.Context(), store.Arrival{Key: key, ID: "b" + key, Group: store.DefaultGroup, Worker: "w"})
			return err
		})
	}
	claimer := s.Claimer(p, "w", time.Minute)
	for range 100 {
		var claimed store.Claimed
		measure("claim", func() (err error) { claimed, err = claimer.Claim(t.Context(), batchSize); return err })
		if len(claimed.Claims) != batchSize {
			t.Fatalf("claimed %d", len(claimed.Claims))
		}
		measure("renew", func() error { _, err := s.Renew(t.Context(), p, time.Minute, claimed.Claims); return err })
		completions := make([]store.Completion, len(claimed.Claims))
		for i, claim := range claimed.Claims {
			completions[i] = store.Completion{Claim: claim, Outcome: store.Outcome{Status: store.StatusSuccess, Log: []byte("done")}}
		}
		measure("complete", func() error { _, err := s.Complete(t.Context(), p, completions); return err })
	}
	for script, calls := range took {
		slices.Sort(calls)
		// A script that is too slow is too slow call after call; others are of a neighbour that empties the caches or shares
		// the processor, or the kernel bringing in fresh pages.
		usual := calls[len(calls)/2]
		t.Logf("%s: %s at the median, %s at the 95th percentile, at most %s", script, usual, calls[len(calls)*95/100], calls[len(calls)-1])
		if usual > longestScript {
			t.Errorf("%s held Redis up for %s, allowed is %s", script, usual, longestScript)
		}
	}
}
