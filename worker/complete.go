package worker

import (
	"context"
	"errors"
	"sync"
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

// completer writes the ends of runs in batches, each partition's by themselves, so that one which cannot be reached holds up no
// other. While one call is under way, the next batch gathers, so the batch is as large as the load and no run waits for a
// timer.
type completer struct {
	worker *Worker

	mu      sync.Mutex
	waiting map[store.Partition][]ending // of each partition for which a goroutine writes
	writing sync.WaitGroup
}

func newCompleter(w *Worker) *completer {
	return &completer{worker: w, waiting: make(map[store.Partition][]ending)}
}

func (c *completer) complete(ctx context.Context, run *activeRun, done store.Completion) {
	c.add(ctx, ending{run: run, done: done})
}

func (c *completer) release(ctx context.Context, run *activeRun, done store.Completion) {
	c.add(ctx, ending{run: run, done: done, released: true})
}

// flush waits until everything that was handed in is written. Nothing may be handed in meanwhile.
func (c *completer) flush() { c.writing.Wait() }

func (c *completer) add(ctx context.Context, e ending) {
	p := e.run.claim.Partition
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting, writing := c.waiting[p]
	c.waiting[p] = append(waiting, e)
	if !writing {
		c.writing.Go(func() {
			for batch := c.gather(p); len(batch) > 0; batch = c.gather(p) {
				c.write(ctx, p, batch)
			}
		})
	}
}

// gather takes what waits of a partition, at most what one call may handle.
func (c *completer) gather(p store.Partition) []ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting[p]
	size := min(len(waiting), c.worker.cfg.Batch)
	if size == 0 {
		delete(c.waiting, p)
		return nil
	}
	c.waiting[p] = waiting[size:]
	return waiting[:size]
}

// write writes the ends of runs of one partition, and gives up only when ctx ends.
func (c *completer) write(ctx context.Context, p store.Partition, batch []ending) {
	byKind := make(map[bool][]ending)
	for _, e := range batch {
		byKind[e.released] = append(byKind[e.released], e)
	}
	for released, endings := range byKind {
		c.writeKind(ctx, p, released, endings)
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
