package worker

import (
	"context"
	"sync"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
)

// renewLoop renews all leases every third of their length, in one call per partition, and stores the output that runs
// have given since. A partition that cannot be reached takes up to two thirds, and holds up no other. It ends with ctx.
func (w *Worker) renewLoop(ctx context.Context) {
	every := time.NewTicker(w.cfg.Lease / 3)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			var renewing sync.WaitGroup
			for p, runs := range w.active.byPartition() {
				renewing.Go(func() {
					w.renew(ctx, p, runs)
					w.flushLogs(ctx, p, runs)
				})
			}
			renewing.Wait()
		}
	}
}

// renew extends the leases of one partition. A failed call is not the end of a run: its own timer is, which only a
// renewal that was answered moves.
func (w *Worker) renew(ctx context.Context, p store.Partition, runs []*activeRun) {
	claims := make([]store.Claim, len(runs))
	for i, run := range runs {
		claims[i] = run.claim
	}
	asked := time.Now()
	// An answer that comes after the leases may have expired is of no use.
	bounded, cancel := context.WithTimeout(ctx, w.cfg.Lease/3)
	defer cancel()
	renewed, err := w.store.Renew(bounded, p, w.cfg.Lease, claims)
	if err != nil {
		w.log.Warn("leases could not be renewed; it is tried again", logkey.Group, p.Group, logkey.Count, len(runs), logkey.Error, err)
		return
	}
	for i, run := range runs {
		if !renewed[i].Held {
			run.cancel(executor.ErrLeaseLost)
			continue
		}
		run.extend(asked.Add(w.cfg.Lease)) // also of one that is cancelled, which may take a while to end
		if renewed[i].Cancel != "" {
			run.cancel(cancellation(renewed[i].Cancel))
		}
	}
}

// cancellation is the cause of a run's end that somebody asked for: its text says why.
type cancellation string

func (c cancellation) Error() string { return string(c) }

func (c cancellation) Unwrap() error { return executor.ErrCancelled }

// Cancel looks at once whether a run is to be cancelled, if this worker holds it. It is a hint: the next renewal would find
// out as well.
func (w *Worker) Cancel(group, runID string) {
	if run := w.active.byRun(group, runID); run != nil {
		w.renew(context.WithoutCancel(run.ctx), run.claim.Partition, []*activeRun{run})
	}
}

// flushLogs stores output that is new since the last time that this succeeded.
func (w *Worker) flushLogs(ctx context.Context, p store.Partition, runs []*activeRun) {
	var outputs []store.Output
	flushed := make(map[*activeRun]uint64)
	for _, run := range runs {
		if version := run.log.Version(); version != run.flushed {
			flushed[run] = version
			outputs = append(outputs, store.Output{Claim: run.claim, Log: run.log.Snapshot()})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease/3)
	defer cancel()
	if err := w.store.Progress(ctx, p, outputs); err != nil {
		w.log.Warn("output of running flows could not be stored", logkey.Group, p.Group, logkey.Error, err)
		return
	}
	for run, version := range flushed {
		run.flushed = version
	}
}
