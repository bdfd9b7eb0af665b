package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// aftermath is what a run's end makes of its flow and its occurrence.
type aftermath struct {
	state  flowState
	score  time.Time // when the flow's slot comes due, zero for none
	seen   string    // newest as-of time that score takes into account, as complete.lua has it
	notes  []slotNote
	dead   bool
	paused string // why the flow is paused from now on, if it is
	retry  time.Time
}

// after decides what follows an end. It depends on the claim, its outcome and the flow's state alone, so that writing the
// same end again gives the same.
func (c Completion) after() (aftermath, error) {
	planner, err := newPlanner(c.Claim.Flow, c.Claim.state.past)
	if err != nil {
		return aftermath{}, fmt.Errorf("flow %s: %w", c.Claim.Flow.Name, err)
	}
	done := aftermath{state: c.Claim.state}
	if c.Outcome.missed {
		c.passOver(planner, &done)
	} else {
		c.remember(&done)
		if !c.Claim.RunNow() {
			c.advance(planner, &done)
		}
	}
	if c.Claim.RunNow() || !done.retry.IsZero() || done.state.past.Paused != 0 {
		done.seen = ""
	}
	done.state.past.count(done.notes)
	done.place(planner.schedule, c.Claim)
	return done, nil
}

// remember takes over what the attempt leaves behind, and decides whether there will be another one.
func (c Completion) remember(done *aftermath) {
	past := &done.state.past
	past.Run, past.Status, past.End = c.Claim.RunID, c.Outcome.Status, c.end().UnixMilli()
	switch c.Outcome.Status {
	case StatusSuccess:
		past.Failures = 0
		if c.Outcome.Cursor != nil {
			past.Cursor = *c.Outcome.Cursor
		}
	case StatusFailed:
		if c.mayRetry() {
			done.retry = c.end().Add(c.Claim.Flow.Retry.Wait(c.failures(), c.Claim.RunID))
			return
		}
		done.dead = true
		past.Failures++
		if limit := c.Claim.Flow.PauseAfter; limit > 0 && past.Failures >= limit {
			done.paused = fmt.Sprintf("%d occurrences in a row failed (pause_after)", past.Failures)
		}
		if c.Outcome.Reason == ReasonCrashes {
			done.paused = fmt.Sprintf("its runs took their worker down %d times in a row", c.Claim.crashes)
		}
		if done.paused != "" {
			past.pause(c.end(), done.paused)
		}
	}
}

// failures counts the failed attempts at the occurrence before this one.
func (c Completion) failures() int {
	switch {
	case c.Claim.RunNow():
		return c.Claim.Attempt - 1 - c.Claim.crashes
	case c.Claim.state.attempts == 0:
		return 0
	}
	return c.Claim.state.past.Tries
}

func (c Completion) mayRetry() bool {
	retry := c.Claim.Flow.Retry
	return retry != nil && !c.Outcome.Permanent && c.Outcome.Reason != ReasonCrashes && c.failures()+1 < retry.Attempts
}

// advance moves the flow to the slot that follows, or keeps it at this one for another attempt. Slots that a beat found due
// while the run went on are skipped, but where each is to be caught up.
func (c Completion) advance(planner planner, done *aftermath) {
	past := &done.state.past
	past.Slot = c.Claim.Slot.UnixMilli()
	if !done.retry.IsZero() {
		done.state.slot, done.state.attempts = c.Claim.Slot, c.Claim.Attempt
		past.Tries, past.RetryAt = c.failures()+1, done.retry.UnixMilli()
		return
	}
	past.Tries, past.RetryAt, past.Ran = 0, 0, past.Ran+1
	done.state.attempts = 0
	done.state.slot, _ = planner.schedule.After(c.Claim.Slot)
	if c.Claim.Flow.Catchup == CatchupAll || done.state.slot.IsZero() {
		return
	}
	seen := c.seen
	if seen.IsZero() {
		seen = c.Claim.AsOf
	}
	dueAt := planner.schedule.DueAfter(done.state.slot, c.Claim.AsOf)
	if c.Claim.state.attempts > 0 { // beats have come while it waited for this attempt
		dueAt = planner.schedule.DueAt(done.state.slot)
	}
	if DueToRun(dueAt, seen) {
		done.notes, done.state.slot = planner.skipped(done.state.slot, seen)
	}
	// A beat of before the claim did not find the flow running: what else is due as of it waits its turn.
	if seen.Before(c.Claim.StartedAt) {
		seen = c.Claim.StartedAt
	}
	done.seen = msText(seen)
}

// passOver ends an occurrence that is not run.
func (c Completion) passOver(planner planner, done *aftermath) {
	decided := planner.plan(c.Claim.Slot, c.Claim.AsOf)
	done.notes, done.state.slot, done.state.attempts = decided.notes, decided.next, 0
	if decided.run {
		done.state.slot = decided.slot // the definition has changed since
	}
}

// place says when the slot that the flow waits for comes due.
func (a *aftermath) place(schedule Schedule, claim Claim) {
	switch {
	case a.state.slot.IsZero() || a.state.past.Paused != 0:
	case a.state.attempts > 0:
		a.score = a.state.dueAt(schedule)
	case claim.Flow.Catchup == CatchupAll && !claim.RunNow():
		a.score = schedule.DueAt(a.state.slot)
	default:
		a.score = schedule.DueAfter(a.state.slot, claim.AsOf)
	}
}

// pack gives the arguments of one run as lua/complete.lua takes them.
func (c Completion) pack(after aftermath) ([]any, error) {
	tail, err := after.state.tail()
	if err != nil {
		return nil, fmt.Errorf("encode state of %s: %w", c.Claim.Flow.Name, err)
	}
	var record []byte
	if !c.Outcome.missed {
		if record, err = json.Marshal(c.record()); err != nil {
			return nil, fmt.Errorf("encode run %s: %w", c.Claim.RunID, err)
		}
	}
	nextRun, nextRecord, nextScore := "", "", ""
	if c.Claim.RunNow() && !after.retry.IsZero() {
		packed, err := json.Marshal(runRecord{
			Status: StatusPending, Occurrence: c.Claim.OccurrenceID, Attempt: c.Claim.Attempt + 1,
			Created: c.end().UnixMilli(), Due: after.retry.UnixMilli(),
		})
		if err != nil {
			return nil, fmt.Errorf("encode retry of run %s: %w", c.Claim.RunID, err)
		}
		nextRun, nextRecord, nextScore = c.retryID(), string(packed), msText(after.retry)
	}
	dead := ""
	if after.dead {
		dead = "1"
	}
	return []any{
		c.Claim.Flow.Name, c.Claim.Token, c.Claim.state.rev, c.Claim.RunID, string(record), tail, msText(after.score),
		string(c.Outcome.Status), c.Outcome.Log, c.Claim.beatKey, after.seen, packNotes(after.notes), dead,
		nextRun, nextRecord, nextScore,
	}, nil
}

// retryID is the run of a run-now's next attempt: it follows this one in order, and the same end always gives the same.
func (c Completion) retryID() string {
	return fmt.Sprintf("%s~%s-%d", c.Claim.Flow.Name, c.Claim.Token, c.Claim.Attempt+1)
}

// answer is what the caller is told, if the end is accepted.
func (c Completion) answer(after aftermath) Completed {
	done := Completed{Run: c.run(), RetryAt: after.retry, Dead: after.dead, Paused: after.paused}
	if c.Claim.RunNow() && !after.retry.IsZero() {
		done.RetryID = c.retryID()
	}
	for _, note := range after.notes {
		done.Skipped = append(done.Skipped, note.view())
	}
	return done
}
