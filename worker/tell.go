package worker

import (
	"log/slog"
	"time"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// tell publishes an event. Events are for whoever listens; what they tell of has happened whether or not one arrives.
func (w *Worker) tell(kind, group, subject string, data any) {
	err := w.events.Publish(trigger.Event{Group: group, Kind: kind, Subject: subject, Time: time.Now(), Data: data})
	if err != nil {
		w.log.Debug("event not published", logkey.Subject, kind, logkey.Group, group, logkey.Error, err)
	}
}

// tellSettled says that beats have settled.
func (w *Worker) tellSettled(beats []store.BeatView) {
	for _, beat := range beats {
		w.log.Info("heartbeat settled", logkey.Group, beat.Group, logkey.BeatID, beat.ID, logkey.Due, beat.FlowsDue,
			logkey.Triggered, beat.FlowsTriggered, logkey.Succeeded, beat.Succeeded, logkey.Failed, beat.Failed)
		w.tell(trigger.EventBeatSettled, beat.Group, beat.ID, trigger.Settled{
			BeatID: beat.ID, Group: beat.Group, FlowsDue: beat.FlowsDue, FlowsTriggered: beat.FlowsTriggered,
			Succeeded: beat.Succeeded, Failed: beat.Failed, Timestamp: *beat.SettledAt,
		})
	}
}

// hint tells all workers, this one included, that there is something to claim in a group again.
func (w *Worker) hint(group string) {
	if err := w.events.Wake(group); err != nil {
		w.log.Debug("hint not published", logkey.Group, group, logkey.Error, err)
	}
}

// logEnd logs what came of a run: a line that is enough to act on.
func (w *Worker) logEnd(run store.Run) {
	keys := []any{
		logkey.Group, run.Group, logkey.Flow, run.Flow, logkey.RunID, run.ID, logkey.OccurrenceID, run.OccurrenceID,
		logkey.Attempt, run.Attempt, logkey.Status, string(run.Status), logkey.DurationMS, run.DurationMS,
	}
	if run.BeatID != "" {
		keys = append(keys, logkey.BeatID, run.BeatID)
	}
	if run.Status == store.StatusSuccess {
		w.log.Info("run ended", keys...)
		return
	}
	w.log.Warn("run ended", append(keys, logkey.Reason, run.Reason, slog.String(logkey.Error, run.Error))...)
}

func runKeys(claim store.Claim) []any {
	return []any{
		logkey.Group, claim.Partition.Group, logkey.Flow, claim.Flow.Name, logkey.RunID, claim.RunID,
		logkey.OccurrenceID, claim.OccurrenceID, logkey.Attempt, claim.Attempt,
	}
}
