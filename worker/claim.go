package worker

import (
	"context"
	"sync"
	"time"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// claimRetry is how long a partition is left alone after its claim failed; the store has repeated it by then. It is also the
// time between two looks whether the partition answers.
const claimRetry = 500 * time.Millisecond

// claimLoop claims as many occurrences as slots are free, from one partition after the other, until ctx ends. Runs go on
// inner, which outlives it.
func (w *Worker) claimLoop(ctx, inner context.Context) {
	var looking sync.WaitGroup
	defer looking.Wait()
	for ctx.Err() == nil {
		free := w.cfg.Concurrency - w.active.count()
		if free <= 0 {
			w.waitFor(ctx, w.active.freed, -1)
			continue
		}
		p, lane, ready, wait := w.lanes.take(time.Now())
		if lane == nil {
			w.waitFor(ctx, w.lanes.changed, wait)
			continue
		}
		if err := w.claimFrom(inner, p, lane.claimer, max(1, min(free/ready, w.cfg.Batch))); err != nil {
			if ctx.Err() == nil {
				w.log.Error("claim failed; it is repeated", logkey.Group, p.Group, logkey.Error, err)
			}
			w.lanes.setAside(p)
			looking.Go(func() { w.awaitPartition(ctx, p) })
		}
	}
}

// awaitPartition looks beside the claim loop until a partition answers: to claim from one that does not takes seconds, in which
// the others would have to wait.
func (w *Worker) awaitPartition(ctx context.Context, p store.Partition) {
	for {
		w.waitFor(ctx, nil, claimRetry)
		if ctx.Err() != nil {
			return
		}
		if _, err := w.store.DueToRun(ctx, p, time.Time{}, 1); err == nil {
			w.lanes.back(p)
			return
		}
	}
}

// waitFor blocks until the signal comes, the wait (negative for none) is over, or ctx ends.
func (w *Worker) waitFor(ctx context.Context, signal <-chan struct{}, wait time.Duration) {
	var elapsed <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-signal:
	case <-elapsed:
	case <-ctx.Done():
	}
}

// claimFrom claims on inner: a claim that is under way when the drain begins may have been carried out, and what it took has to
// be run or handed back, not left to expire.
func (w *Worker) claimFrom(inner context.Context, p store.Partition, claimer *store.Claimer, limit int) error {
	claimed, err := claimer.Claim(inner, limit)
	if err != nil {
		return err
	}
	w.metrics.claimed(p.Group, len(claimed.Claims))
	for _, broken := range claimed.Broken {
		w.log.Error("occurrence cannot be read; put its flow again", logkey.Group, p.Group, logkey.Error, broken)
	}
	for _, missed := range claimed.Missed {
		w.tellSlots(p.Group, missed.Flow, missed.Slots)
	}
	for _, ended := range claimed.Ended {
		w.tellEnd(ended)
	}
	for _, claim := range claimed.Claims {
		w.start(inner, claim, claimed.Sent)
	}
	for _, replaced := range claimed.Replaced {
		if err := w.events.Cancel(p.Group, replaced); err != nil { // its worker learns of it with its next renewal
			w.log.Debug("hint to cancel not published", logkey.Group, p.Group, logkey.RunID, replaced, logkey.Error, err)
		}
	}
	w.lanes.leave(p, claimed)
	w.tellSettled(claimed.Settled)
	return nil
}

// start runs a claim in a goroutine of its own. sent is when the claim was sent: the lease is counted from then. A worker that was
// frozen meanwhile does not begin what another one may have taken over.
func (w *Worker) start(inner context.Context, claim store.Claim, sent time.Time) {
	deadline := sent.Add(w.cfg.Lease)
	if !time.Now().Before(deadline) {
		w.metrics.leasesLost.Inc()
		w.log.Error("run not begun: its lease is over already", runKeys(claim)...)
		return
	}
	run := w.active.add(inner, claim, deadline, w.cfg.LogBytes)
	w.metrics.running.Inc()
	if claim.RecoveredID != "" {
		w.metrics.recovered.Inc()
		w.log.Warn("taking over an occurrence whose lease expired", append(runKeys(claim), "lost_run_id", claim.RecoveredID)...)
		w.tell(trigger.EventRunRecovered, claim.Partition.Group, claim.RunID, recovered{Run: claim.Run(), LostRunID: claim.RecoveredID})
	}
	w.tell(trigger.EventRunStarted, claim.Partition.Group, claim.RunID, claim.Run())
	w.runs.Go(func() { w.execute(inner, run) })
}

// recovered is the data of the event run.recovered.
type recovered struct {
	store.Run
	LostRunID string `json:"lost_run_id"`
}
