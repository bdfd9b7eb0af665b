package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// HeartbeatEvent is where every heartbeat arrives, whatever way it came: it tells the store, which finds out what is
// due as of now, and lets the claim loop run that. Repeating it is harmless. The error is the store's; the beat should
// then be handed over again.
func (w *Worker) HeartbeatEvent(ctx context.Context, beat trigger.Beat) error {
	accepted, err := w.store.AcceptBeat(ctx, store.Arrival{
		Key: strconv.FormatUint(beat.Seq, 10) + "-" + strconv.FormatInt(beat.StoredAt.UnixNano(), 10), ID: beat.ID,
		Group: beat.Group, Source: beat.Source, Note: beat.Note, Worker: w.cfg.ID,
	})
	if err != nil {
		return fmt.Errorf("accept beat %s of group %s: %w", beat.ID, beat.Group, err)
	}
	w.origins.add(beat.ID, beat.TraceParent)
	if !accepted.Empty {
		w.metrics.beat(beat.Group, accepted)
	}
	if accepted.First {
		w.log.Info("heartbeat", logkey.Group, beat.Group, logkey.BeatID, beat.ID, logkey.Due, accepted.Due)
		w.tell(trigger.EventBeatReceived, beat.Group, beat.ID, received{
			BeatID: beat.ID, Group: beat.Group, Source: beat.Source, Note: beat.Note, AsOf: accepted.AsOf, FlowsDue: accepted.Due,
		})
	}
	if accepted.Settled != nil {
		w.tellSettled([]store.BeatView{*accepted.Settled})
	}
	if !accepted.Empty {
		w.Wake(beat.Group)
	}
	return nil
}

// received is the data of the event beat.received.
type received struct {
	BeatID   string    `json:"beat_id"`
	Group    string    `json:"group"`
	Source   string    `json:"source,omitempty"`
	Note     string    `json:"note,omitempty"`
	AsOf     time.Time `json:"as_of"`
	FlowsDue int       `json:"flows_due"`
}

// RunNow accepts a request to run a flow at once, idempotently by its place. An error that wraps
// trigger.ErrRejected says that the request can never be carried out.
func (w *Worker) RunNow(ctx context.Context, ask trigger.RunRequest) error {
	at, number := ask.Place()
	id := fmt.Sprintf("%s~%016d-%d", ask.Flow, at.UnixMicro(), number)
	runID, err := w.store.Enqueue(ctx, store.RunNow{
		Group: ask.Group, Flow: ask.Flow, ID: id, Params: ask.Params,
	})
	var invalid store.InvalidError
	switch {
	case errors.Is(err, store.ErrNotFound), errors.As(err, &invalid):
		return fmt.Errorf("%w: %w", trigger.ErrRejected, err)
	case err != nil:
		return fmt.Errorf("enqueue run of flow %s: %w", ask.Flow, err)
	}
	w.log.Info("run asked for", logkey.Group, ask.Group, logkey.Flow, ask.Flow, logkey.RunID, runID)
	w.origins.add(runID, ask.TraceParent)
	w.tell(trigger.EventRunPending, ask.Group, runID, pending{RunID: runID, Flow: ask.Flow, Group: ask.Group})
	// Every worker takes requests of every group off the queue; one that serves the group and has a free slot, this one
	// included, takes the run.
	w.hint(ask.Group)
	return nil
}

// pending is the data of the event run.pending.
type pending struct {
	RunID string `json:"run_id"`
	Flow  string `json:"flow"`
	Group string `json:"group"`
}

// Wake says that there may be something to claim in a group. It is a hint: a needless one costs one call.
func (w *Worker) Wake(group string) {
	if store.ValidName(group) {
		w.lanes.wake(w.store.Partitions(group)...)
	}
}
