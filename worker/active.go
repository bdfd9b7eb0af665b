package worker

import (
	"context"
	"sync"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// activeRun is a claim that this worker holds: it runs, or its end is not yet written.
type activeRun struct {
	claim   store.Claim
	log     *executor.Tail
	flushed uint64 // version of the log that is in Redis; only the renewer's
	began   time.Time

	ctx    context.Context
	cancel context.CancelCauseFunc
	expiry *time.Timer // cancels the run when its lease may have expired
	lease  *executor.Lease
}

// extend moves the moment at which the lease may have expired.
func (r *activeRun) extend(deadline time.Time) {
	r.expiry.Reset(time.Until(deadline))
	r.lease.Extend(deadline)
}

// active are the claims that the worker holds.
type active struct {
	freed chan struct{} // holds one signal: a slot became free

	mu   sync.Mutex
	runs map[*activeRun]struct{}
	idle chan struct{} // closed once nothing is held; nil while nobody waits
}

func newActive() *active {
	return &active{freed: make(chan struct{}, 1), runs: make(map[*activeRun]struct{})}
}

func (a *active) add(inner context.Context, claim store.Claim, deadline time.Time, logBytes int) *activeRun {
	run := &activeRun{claim: claim, log: executor.NewTail(logBytes), began: time.Now(), lease: executor.NewLease(deadline)}
	run.ctx, run.cancel = context.WithCancelCause(inner)
	run.expiry = time.AfterFunc(time.Until(deadline), func() { run.cancel(executor.ErrLeaseLost) })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs[run] = struct{}{}
	return run
}

// remove frees the run's slot.
func (a *active) remove(run *activeRun) {
	run.expiry.Stop()
	run.cancel(nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.runs, run)
	if len(a.runs) == 0 && a.idle != nil {
		close(a.idle)
		a.idle = nil
	}
	select {
	case a.freed <- struct{}{}:
	default:
	}
}

func (a *active) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.runs)
}

// byRun is the run with this id, nil if it is not held. Ids and tokens are those of a group: another one may have the same.
func (a *active) byRun(group, id string) *activeRun {
	a.mu.Lock()
	defer a.mu.Unlock()
	for run := range a.runs {
		if run.claim.Partition.Group == group && run.claim.RunID == id {
			return run
		}
	}
	return nil
}

// byPartition lists what is held.
func (a *active) byPartition() map[store.Partition][]*activeRun {
	a.mu.Lock()
	defer a.mu.Unlock()
	held := make(map[store.Partition][]*activeRun)
	for run := range a.runs {
		held[run.claim.Partition] = append(held[run.claim.Partition], run)
	}
	return held
}

func (a *active) cancelAll(cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for run := range a.runs {
		run.cancel(cause)
	}
}

// ended is closed once nothing is held. Nothing may be added after it was asked for.
func (a *active) ended() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	idle := make(chan struct{})
	if len(a.runs) == 0 {
		close(idle)
		return idle
	}
	a.idle = idle
	return idle
}
