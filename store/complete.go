package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// longestText bounds the error and the message kept with a run.
const longestText = 4096

// Outcome is what came of running a claim.
type Outcome struct {
	Status  Status // StatusSuccess, StatusFailed or StatusCancelled
	Reason  string // one of the Reason constants, unless it succeeded
	Error   string // cut to 4 KiB
	Message string // cut to 4 KiB
	Cursor  *string
	Log     []byte        // the tail of the output, already cut to what may be kept
	Took    time.Duration // since Claim.StartedAt, by a clock that does not jump
}

// Completion is a claim with its outcome, ready to be written.
type Completion struct {
	Claim   Claim
	Outcome Outcome
}

// Completed is the answer for one Completion.
type Completed struct {
	// Run is the record as written. Its end is the claim's start by Redis' clock plus the time the run took, so that
	// repeating the call writes the very same record.
	Run Run
	// Err is nil, or ErrStale: the lease was lost and nothing was written.
	Err error
}

// Complete ends a batch of at most 100 runs of one partition in one round trip: it closes the records, writes each
// flow's next slot and drops the leases. Answers come in the order of the batch. The error is one of the whole call,
// which then may or may not have taken effect, and is safe to repeat: what was completed by it answers the same again.
func (s *Store) Complete(ctx context.Context, p Partition, batch []Completion) (answers []Completed, settled []BeatView, err error) {
	answers = make([]Completed, len(batch))
	waiting := make([]int, len(batch)) // indexes into batch; shrinks to those whose flow was changed
	for i := range batch {
		waiting[i] = i
	}
	for len(waiting) > 0 {
		again, beats, err := s.completeOnce(ctx, p, batch, waiting, answers)
		if err != nil {
			return nil, nil, err
		}
		settled = append(settled, beats...)
		waiting = again
	}
	return answers, settled, nil
}

func (s *Store) completeOnce(ctx context.Context, p Partition, batch []Completion, waiting []int, answers []Completed) (again []int, settled []BeatView, err error) {
	args := []any{s.cfg.RunTTL.Milliseconds(), s.cfg.RunsPerFlow}
	for _, i := range waiting {
		packed, err := batch[i].pack()
		if err != nil {
			return nil, nil, err
		}
		args = append(args, packed...)
	}
	reply, err := s.run(ctx, p, "complete", always(args...))
	if err != nil {
		return nil, nil, err
	}
	items, err := list(reply, 2)
	if err != nil {
		return nil, nil, err
	}
	outcomes, err := list(items[0], len(waiting))
	if err != nil {
		return nil, nil, err
	}
	for at, i := range waiting {
		outcome, err := list(outcomes[at], 1)
		if err != nil {
			return nil, nil, err
		}
		const stale, changed = 0, 3
		answers[i].Run = batch[i].run()
		switch number(outcome[0]) {
		case stale:
			answers[i].Err = ErrStale
		case changed:
			if err := batch[i].rebase(outcome); err != nil {
				return nil, nil, err
			}
			again = append(again, i)
		}
	}
	settled, err = s.settleAll(ctx, p, items[1])
	return again, settled, err
}

// rebase takes over the definition and state that the flow has now, so that the next slot is computed from those.
func (c *Completion) rebase(outcome []any) error {
	if len(outcome) < 3 {
		return fmt.Errorf("complete %s: unexpected reply of a script: %v", c.Claim.RunID, outcome)
	}
	var flow DataFlow // a new one: what the definition no longer says must not stay
	if err := json.Unmarshal([]byte(text(outcome[1])), &flow); err != nil {
		return fmt.Errorf("decode flow %s: %w", c.Claim.Flow.Name, err)
	}
	c.Claim.Flow = flow
	state, err := decodeState(text(outcome[2]))
	c.Claim.state = state
	return err
}

// pack gives the arguments of one run as lua/complete.lua takes them.
func (c Completion) pack() ([]any, error) {
	state, score, err := c.after()
	if err != nil {
		return nil, err
	}
	tail, err := state.tail()
	if err != nil {
		return nil, fmt.Errorf("encode state of %s: %w", c.Claim.Flow.Name, err)
	}
	record, err := json.Marshal(c.record())
	if err != nil {
		return nil, fmt.Errorf("encode run %s: %w", c.Claim.RunID, err)
	}
	return []any{
		c.Claim.Flow.Name, c.Claim.Token, state.rev, c.Claim.RunID, string(record), tail, msText(score),
		string(c.Outcome.Status), c.Outcome.Log, c.Claim.beatKey,
	}, nil
}

// after is the flow's state once the run has ended, and when its next slot comes due (zero for none).
func (c Completion) after() (state flowState, score time.Time, err error) {
	schedule, err := c.Claim.Flow.Schedule()
	if err != nil {
		return state, score, fmt.Errorf("flow %s: %w", c.Claim.Flow.Name, err)
	}
	state = c.Claim.state
	state.past.Run, state.past.Status, state.past.End = c.Claim.RunID, c.Outcome.Status, c.end().UnixMilli()
	if c.Outcome.Status == StatusSuccess {
		state.past.Failures = 0
		if c.Outcome.Cursor != nil {
			state.past.Cursor = *c.Outcome.Cursor
		}
	} else {
		state.past.Failures++
	}
	// A run-now stands beside the schedule: the slot that it waits for stays as it is.
	if !c.Claim.RunNow() {
		state.past.Slot = c.Claim.Slot.UnixMilli()
		state.slot, _ = schedule.Next(c.Claim.Slot, c.Claim.AsOf)
		state.attempts = 0
	}
	if !state.slot.IsZero() {
		score = schedule.DueAfter(state.slot, c.Claim.AsOf)
	}
	return state, score, nil
}

func (c Completion) end() time.Time { return c.Claim.StartedAt.Add(c.Outcome.Took) }

func (c Completion) record() runRecord {
	claim, out := c.Claim, c.Outcome
	record := claim.record(out.Status)
	record.Reason, record.Error, record.Message = out.Reason, cut(out.Error), cut(out.Message)
	record.End = c.end().UnixMilli()
	return record
}

func (c Completion) run() Run {
	packed, err := json.Marshal(c.record())
	if err != nil {
		return Run{ID: c.Claim.RunID, Flow: c.Claim.Flow.Name, Group: c.Claim.Partition.Group}
	}
	run, _ := decodeRun(c.Claim.Partition.Group, c.Claim.RunID, string(packed))
	return run
}

// Run is the claim's run as its record stands while it runs.
func (c Claim) Run() Run {
	run := Completion{Claim: c, Outcome: Outcome{Status: StatusInProgress}}.run()
	run.EndedAt = nil
	return run
}

func (c Claim) record(status Status) runRecord {
	record := runRecord{
		Status: status, Occurrence: c.OccurrenceID, Attempt: c.Attempt, Token: c.Token, Worker: escapeID(c.Worker),
		Start: c.StartedAt.UnixMilli(), Beat: escapeID(c.BeatID), Recovered: c.RecoveredID != "", Params: c.Params,
	}
	if !c.Slot.IsZero() {
		record.Slot = c.Slot.UnixMilli()
	}
	return record
}

// cut bounds a text that comes from a flow, at a rune's boundary, and makes it valid UTF-8.
func cut(text string) string {
	if len(text) > longestText {
		text = text[:longestText] + "…"
	}
	return toValid(text)
}
