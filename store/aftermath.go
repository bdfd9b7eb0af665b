package store

import (
	"encoding/json"
	"fmt"
	"strconv"
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
	owns := c.Claim.owns()
	switch {
	case c.Outcome.missed:
		if owns {
			c.passOver(planner, &done)
		}
	case c.Claim.orphaned(): // nobody tries it again
		done.dead = c.Outcome.Status == StatusFailed
	default:
		c.remember(&done)
		if !c.Claim.RunNow() && done.retry.IsZero() {
			c.account(planner, &done)
			if owns {
				c.advance(planner, &done)
			}
		}
	}
	if done.state.past.Paused != 0 {
		done.seen = ""
	}
	done.state.past.count(done.notes)
	if !owns || done.retry.IsZero() {
		done.place(planner.schedule, c.Claim, owns)
	}
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
			done.retry = c.end().Add(c.Claim.Flow.Retry.Wait(c.Claim.tries, c.Claim.RunID))
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

func (c Completion) mayRetry() bool {
	retry := c.Claim.Flow.Retry
	return retry != nil && !c.Outcome.Permanent && c.Outcome.Reason != ReasonCrashes && c.Claim.tries+1 < retry.Attempts
}

// account records the slot's outcome. It ran, unless it was superseded before it could.
func (c Completion) account(planner planner, done *aftermath) {
	past := &done.state.past
	if neverRan[c.Outcome.Reason] && c.Claim.unbegun && c.Claim.Attempt == 1 {
		done.notes = append(done.notes, planner.note(c.Claim.Slot, c.Claim.Slot, SlotSkipped, c.Outcome.Reason))
		return
	}
	past.Slot, past.Ran = c.Claim.Slot.UnixMilli(), past.Ran+1
}

// advance moves the flow to the slot that follows. Slots that a beat found due while the run went on, or waited for its
// next attempt, are skipped, but where each is to be caught up.
func (c Completion) advance(planner planner, done *aftermath) {
	done.state.slot, _ = planner.schedule.After(c.Claim.Slot)
	if c.Claim.Flow.Catchup == CatchupAll || c.Claim.Flow.Overlap != OverlapForbid || done.state.slot.IsZero() {
		return
	}
	seen := c.seen
	if seen.IsZero() {
		seen = c.Claim.AsOf
	}
	dueAt := planner.schedule.DueAfter(done.state.slot, c.Claim.AsOf)
	if c.Claim.tries > 0 { // beats have come while it waited for this attempt
		dueAt = planner.schedule.DueAt(done.state.slot)
	}
	if DueToRun(dueAt, seen) {
		var skipped []slotNote
		skipped, done.state.slot = planner.skipped(done.state.slot, seen)
		done.notes = append(done.notes, skipped...)
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
	done.notes, done.state.slot = decided.notes, decided.next
	if decided.run {
		done.state.slot = decided.slot // the definition has changed since
	}
}

// place says when the slot that the flow waits for comes due. Where occurrences may overlap, that is left as it is by an end
// of one that the flow does not wait for.
func (a *aftermath) place(schedule Schedule, claim Claim, owns bool) {
	switch {
	case a.state.slot.IsZero() || a.state.past.Paused != 0:
	case !owns && claim.Flow.Overlap != OverlapForbid:
	case owns && claim.Flow.Catchup == CatchupAll:
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
	nextRun, nextRecord, nextScore, tries := "", "", "", ""
	if !after.retry.IsZero() {
		waiting := c.Claim.pending()
		waiting.Attempt, waiting.Created, waiting.Due, waiting.Beat = c.Claim.Attempt+1, c.end().UnixMilli(), after.retry.UnixMilli(), ""
		packed, err := json.Marshal(waiting)
		if err != nil {
			return nil, fmt.Errorf("encode retry of run %s: %w", c.Claim.RunID, err)
		}
		nextRun, nextRecord, nextScore, tries = c.retryID(), string(packed), msText(after.retry), strconv.Itoa(c.Claim.tries+1)
	}
	dead := ""
	if after.dead {
		dead = "1"
	}
	return []any{
		c.Claim.RunID, c.Claim.Token, c.Claim.state.rev, string(record), tail, msText(after.score),
		string(c.Outcome.Status), c.Outcome.Log, c.Claim.beatKey, after.seen, packNotes(after.notes), dead,
		nextRun, nextRecord, nextScore, tries,
	}, nil
}

// retryID is the run of the next attempt: it follows this one in order, and the same end always gives the same.
func (c Completion) retryID() string { return c.Claim.nextRun(c.Claim.Attempt + 1) }

// nextRun is the id of a run that stands for the occurrence after the claim's own. The 0 tells it from a run-now, which has the place of
// its request there.
func (c Claim) nextRun(attempt int) string {
	return fmt.Sprintf("%s~%s-0%d", flowOf(c.RunID), c.Token, attempt)
}

// answer is what the caller is told, if the end is accepted.
func (c Completion) answer(after aftermath) Completed {
	done := Completed{Run: c.run(), RetryAt: after.retry, Dead: after.dead, Paused: after.paused}
	if !after.retry.IsZero() {
		done.RetryID = c.retryID()
	}
	for _, note := range after.notes {
		done.Skipped = append(done.Skipped, note.view())
	}
	return done
}
