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

// tellEnd says what came of a run, and what follows from it.
func (w *Worker) tellEnd(done store.Completed) {
	run := done.Run
	w.metrics.ended(run)
	w.logEnd(run)
	w.tell(endKinds[run.Status], run.Group, run.ID, run)
	if !done.RetryAt.IsZero() {
		w.log.Info("run will be retried", logkey.Group, run.Group, logkey.Flow, run.Flow, logkey.RunID, run.ID,
			logkey.OccurrenceID, run.OccurrenceID, logkey.Attempt, run.Attempt+1, logkey.RetryAt, done.RetryAt)
		w.tell(trigger.EventRunRetrying, run.Group, run.ID, retrying{
			Flow: run.Flow, RunID: run.ID, OccurrenceID: run.OccurrenceID, Attempt: run.Attempt + 1, RetryAt: done.RetryAt, RetryID: done.RetryID,
		})
	}
	if done.Dead {
		w.tell(trigger.EventRunDead, run.Group, run.ID, run)
	}
	if done.Paused != "" {
		w.log.Warn("flow paused", logkey.Group, run.Group, logkey.Flow, run.Flow, logkey.Reason, done.Paused)
		w.tell(trigger.EventFlowPaused, run.Group, run.Flow, paused{Flow: run.Flow, Reason: done.Paused, RunID: run.ID})
	}
	w.tellSlots(run.Group, run.Flow, done.Skipped)
}

// tellReleased says that an occurrence was handed back, to be taken up by another worker.
func (w *Worker) tellReleased(run store.Run) {
	w.metrics.ended(run)
	w.logEnd(run)
	w.tell(trigger.EventRunReleased, run.Group, run.ID, run)
}

// retrying is the data of the event run.retrying.
type retrying struct {
	Flow         string    `json:"flow"`
	RunID        string    `json:"run_id"`
	OccurrenceID string    `json:"occurrence_id"`
	Attempt      int       `json:"attempt"`  // that comes next
	RetryAt      time.Time `json:"retry_at"` // from when on a heartbeat makes it due
	RetryID      string    `json:"retry_run_id,omitempty"`
}

// paused is the data of the event flow.paused.
type paused struct {
	Flow   string `json:"flow"`
	Reason string `json:"reason"`
	RunID  string `json:"run_id,omitempty"`
}

// slots is the data of the events slots.missed and slots.skipped.
type slots struct {
	Flow  string            `json:"flow"`
	Slots []store.SlotRange `json:"slots"`
}

// tellSlots says which slots of a flow did not run, and why.
func (w *Worker) tellSlots(group, flow string, ranges []store.SlotRange) {
	byOutcome := map[string][]store.SlotRange{}
	for _, part := range ranges {
		byOutcome[part.Outcome] = append(byOutcome[part.Outcome], part)
		w.metrics.slots(group, part)
		w.log.Info("slots did not run", logkey.Group, group, logkey.Flow, flow, logkey.Status, part.Outcome, logkey.Reason, part.Reason,
			logkey.Count, part.Count, logkey.From, part.From, logkey.To, part.To)
	}
	if missed := byOutcome[store.SlotMissed]; len(missed) > 0 {
		w.tell(trigger.EventSlotsMissed, group, flow, slots{Flow: flow, Slots: missed})
	}
	if skipped := byOutcome[store.SlotSkipped]; len(skipped) > 0 {
		w.tell(trigger.EventSlotsSkipped, group, flow, slots{Flow: flow, Slots: skipped})
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
