package worker

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/internal/logkey"
)

// lookAround wakes all groups of the worker when it starts, and when its connection to NATS is back. What somebody asked for, or
// what was held by a worker that has died, may be of a group in which no heartbeat tells of it, and whose hints came while
// nobody listened. It makes nothing due.
func (w *Worker) lookAround(ctx context.Context) {
	connected := w.nc.StatusChanged(nats.CONNECTED)
	defer w.nc.RemoveStatusListener(connected)
	for {
		groups, err := w.store.Groups(ctx)
		var again <-chan time.Time
		if err != nil && ctx.Err() == nil {
			w.log.Warn("groups could not be read; it is tried again", logkey.Error, err)
			again = time.After(w.cfg.Lease / 3)
		}
		for _, group := range groups {
			if len(w.cfg.Groups) == 0 || slices.Contains(w.cfg.Groups, group) {
				w.Wake(group)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case _, open := <-connected:
			if !open { // the connection is closed for good, which ends the worker
				return
			}
		}
	}
}
