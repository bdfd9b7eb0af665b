package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// registered is a store with 100,000 flows.
func registered(b *testing.B) *fixture {
	b.Helper()
	server := testenv.StartRedis(b, "--appendonly", "no")
	f := fixtureOver(b, connect(b, server.URL()), store.Config{Prefix: "bench"})
	flows := make([]store.DataFlow, 100_000)
	for n := range flows {
		flows[n] = function(fmt.Sprintf("flow-%06d", n), everyMinute)
	}
	if _, err := f.PutFlows(f.ctx, "", flows); err != nil {
		b.Fatal(err)
	}
	return f
}

// due makes everything due, by a beat a minute later than the last.
func (f *fixture) due() {
	f.pass(time.Minute)
	f.beat()
}

// BenchmarkClaimComplete claims and completes occurrences in batches of 100, with 100,000 flows registered. One op is
// one run.
func BenchmarkClaimComplete(b *testing.B) {
	f := registered(b)
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(workers, " workers"), func(b *testing.B) {
			f.TB = b
			f.due()
			runs := 0
			var counting sync.Mutex
			b.ResetTimer()
			var working sync.WaitGroup
			for w := range workers {
				claimer := f.Claimer(f.p, fmt.Sprint("w", w), time.Minute)
				working.Go(func() {
					for {
						claimed, err := claimer.Claim(f.ctx, 100)
						if err != nil {
							b.Error(err)
							return
						}
						counting.Lock()
						if len(claimed.Claims) == 0 && runs < b.N {
							f.due()
						}
						runs += len(claimed.Claims)
						over := runs >= b.N
						counting.Unlock()
						if len(claimed.Claims) > 0 {
							if _, err := f.Complete(f.ctx, f.p, success(claimed.Claims...)); err != nil {
								b.Error(err)
								return
							}
						}
						if over {
							return
						}
					}
				})
			}
			working.Wait()
			b.StopTimer()
			b.ReportMetric(float64(runs)/b.Elapsed().Seconds(), "runs/s")
			b.ReportMetric(0, "ns/op")
			// What is left of this round must not be counted in the next one.
			for claimed := f.claim("rest", 100); len(claimed.Claims) > 0; claimed = f.claim("rest", 100) {
				f.complete(claimed.Claims...)
			}
		})
	}
}

// BenchmarkAcceptBeat counts what is due of 100,000 flows that all are.
func BenchmarkAcceptBeat(b *testing.B) {
	f := registered(b)
	for b.Loop() {
		f.beat()
	}
}
