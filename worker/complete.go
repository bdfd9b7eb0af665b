package worker

import (
	"context"
	"errors"
	"time"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// completionRetry is how long completions wait after a call failed that the store has repeated already.
const completionRetry = 200 * time.Millisecond

// ending is a run whose end has to be written.
type ending struct {
	run      *activeRun
	done     store.Completion
	released bool // hand the occurrence back instead
}

// completer writes the ends of runs in batches: while one call is under way, the next batch gathers, so the batch is as
// large as the load and no run waits for a timer.
type completer struct {
	worker  *Worker
	endings chan ending
	idle    chan chan struct{}
}

func newCompleter(w *Worker) *completer {
	// Every run has room, so that none waits on the channel while it holds its slot.
	return &completer{worker: w, endings: make(chan ending, w.cfg.Concurrency), idle: make(chan chan struct{})}
}

func (c *completer) complete(run *activeRun, done store.Completion) {
	c.endings <- ending{run: run, done: done}
}

func (c *completer) release(run *activeRun, done store.Completion) {
	c.endings <- ending{run: run, done: done, released: true}
}

// flush waits until everything that was handed in is written.
func (c *completer) flush() {
	done := make(chan struct{})
	c.idle <- done
	<-done
}

// run writes until ctx ends, which is after flush.
func (c *completer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case done := <-c.idle:
			close(done) // whatever was handed in has been written, since this loop writes before it waits again
		case first := <-c.endings:
			c.write(ctx, c.gather(first))
		}
	}
}

// gather takes what else waits, at most what one call may handle.
func (c *completer) gather(first ending) []ending {
	batch := []ending{first}
	for len(batch) < c.worker.cfg.Batch {
		select {
		case next := <-c.endings:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

func (c *completer) write(ctx context.Context, batch []ending) {
	type kind struct {
		partition store.Partition
		released  bool
	}
	kinds := make(map[kind][]ending)
	for _, e := range batch {
		key := kind{e.run.claim.Partition, e.released}
		kinds[key] = append(kinds[key], e)
	}
	for key, endings := range kinds {
		c.writeKind(ctx, key.partition, key.released, endings)
	}
}

// writeKind writes the ends of runs of one partition, and repeats that until Redis has answered.
func (c *completer) writeKind(ctx context.Context, p store.Partition, released bool, endings []ending) {
	call := c.worker.store.Complete
	if released {
		call = c.worker.store.Release
	}
	batch := make([]store.Completion, len(endings))
	for i, e := range endings {
		batch[i] = e.done
	}
	for {
		written, err := call(ctx, p, batch)
		if err == nil {
			c.finish(endings, written.Answers)
			c.worker.tellSettled(written.Settled)
			switch {
			case released, written.More && c.worker.draining.Load():
				c.worker.hint(p.Group) // this worker takes nothing more
			case written.More:
				c.worker.lanes.wake(p)
			}
			return
		}
		c.worker.log.Error("runs ended but could not be written; it is repeated", logkey.Group, p.Group,
			logkey.Count, len(batch), logkey.Error, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(completionRetry):
		}
	}
}

// finish frees the slots, and says what became of each run.
func (c *completer) finish(endings []ending, answers []store.Completed) {
	w := c.worker
	for i, e := range endings {
		w.drop(e.run)
		answer := answers[i]
		if errors.Is(answer.Err, store.ErrStale) {
			w.metrics.leasesLost.Inc()
			w.log.Error("run ended, but another attempt owns its occurrence; nothing was written", runKeys(e.run.claim)...)
			continue
		}
		if answer.Err != nil {
			w.log.Error("run ended, but its flow cannot be read any more; put the flow again: its occurrence is repeated when the lease is over",
				append(runKeys(e.run.claim), logkey.Error, answer.Err)...)
			continue
		}
		if e.released {
			w.tellReleased(answer.Run)
			continue
		}
		w.tellEnd(answer)
	}
}

// endKinds are the events that tell of a run's end.
var endKinds = map[store.Status]string{
	store.StatusSuccess: trigger.EventRunSucceeded, store.StatusFailed: trigger.EventRunFailed,
	store.StatusCancelled: trigger.EventRunCancelled,
}
