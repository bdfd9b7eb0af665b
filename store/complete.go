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
	Log     []byte      // the tail of the output, already cut to what may be kept
	Process *RunProcess // what the system told of its processes; nil for none
	// Permanent says that another attempt would fail the same way: a retry policy does not apply.
	Permanent bool

	missed bool          // the slot is not run at all
	Took   time.Duration // since Claim.StartedAt, by a clock that does not jump
}

// Completion is a claim with its outcome, ready to be written.
type Completion struct {
	Claim   Claim
	Outcome Outcome

	seen  time.Time // newest as-of time that the next slot takes into account; zero for the claim's own
	later bool      // handed back to come again with the next beat
}

// Completed is the answer for one Completion.
type Completed struct {
	// Run is the record as written. Its end is the claim's start by Redis' clock plus the time the run took, so that
	// repeating the call writes the very same record.
	Run Run
	// RetryAt is when the next attempt at the occurrence comes due, and RetryID its run. Zero where there is none.
	RetryAt time.Time
	RetryID string
	// Dead says that the occurrence failed for good, and is among the dead letters.
	Dead bool
	// Paused is why this end paused the flow, empty if it did not.
	Paused string
	// Skipped are slots that this run held up, by what the ledger says of them.
	Skipped []SlotRange
	// Err is nil; or ErrStale, where the lease was lost; or says that the flow, or what it was changed to meanwhile, cannot be read,
	// as where a newer version wrote it: the occurrence is left to whoever can, once its lease expires. Nothing was written.
	Err error
}

// Written is what came of writing the ends of a batch of runs.
type Written struct {
	Answers []Completed // in the order of the batch
	Settled []BeatView  // beats that this call found to have ended
	More    bool        // there may be something to claim: what waited for these runs, or what they left due
}

// Complete ends a batch of at most 100 runs of one partition in one round trip: it closes the records, writes each
// flow's next slot and drops the leases. Answers come in the order of the batch. The error is one of the whole call,
// which then may or may not have taken effect, and is safe to repeat: what was completed by it answers the same again.
func (s *Store) Complete(ctx context.Context, p Partition, batch []Completion) (written Written, err error) {
	answers := make([]Completed, len(batch))
	waiting := make([]int, len(batch)) // indexes into batch; shrinks to those whose flow was changed
	for i := range batch {
		waiting[i] = i
	}
	for len(waiting) > 0 {
		again, beats, more, err := s.completeOnce(ctx, p, batch, waiting, answers)
		if err != nil {
			return Written{}, err
		}
		written.Settled = append(written.Settled, beats...)
		written.More = more
		waiting = again
	}
	written.Answers = answers
	return written, nil
}

func (s *Store) completeOnce(ctx context.Context, p Partition, batch []Completion, waiting []int, answers []Completed) (again []int, settled []BeatView, more bool, err error) {
	args := []any{s.cfg.RunTTL.Milliseconds(), s.cfg.RunsPerFlow, s.cfg.DeadLetters}
	states := newestStates(batch, waiting)
	var asked []int // those that can be written
	for _, i := range waiting {
		claim := &batch[i].Claim
		newest := states[claim.Flow.Name]
		claim.Flow, claim.state = newest.flow, newest.state
		after, err := batch[i].after()
		if err != nil {
			answers[i].Err = err
			continue
		}
		asked = append(asked, i)
		newest.state = after.state
		answers[i] = batch[i].answer(after)
		packed, err := batch[i].pack(after)
		if err != nil {
			return nil, nil, false, err
		}
		args = append(args, packed...)
	}
	if len(asked) == 0 {
		return nil, nil, false, nil
	}
	reply, err := s.run(ctx, p, "complete", always(args...))
	if err != nil {
		return nil, nil, false, err
	}
	items, err := list(reply, 3)
	if err != nil {
		return nil, nil, false, err
	}
	outcomes, err := list(items[0], len(asked))
	if err != nil {
		return nil, nil, false, err
	}
	for at, i := range asked {
		outcome, err := list(outcomes[at], 1)
		if err != nil {
			return nil, nil, false, err
		}
		const stale, changed, passedOver = 0, 3, 4
		switch number(outcome[0]) {
		case stale:
			answers[i].Err = ErrStale
		case changed:
			if answers[i].Err = batch[i].Claim.rebase(outcome); answers[i].Err == nil {
				again = append(again, i)
			}
		case passedOver:
			if len(outcome) < 2 {
				return nil, nil, false, fmt.Errorf("complete %s: unexpected reply of a script: %v", batch[i].Claim.RunID, outcome)
			}
			batch[i].seen = time.UnixMilli(number(outcome[1])).UTC()
			again = append(again, i)
		}
	}
	settled, err = s.settleAll(ctx, p, items[1])
	return again, settled, number(items[2]) == 1, err
}

// knownState is what is known of a flow: its definition and state of one revision.
type knownState struct {
	flow  DataFlow
	state flowState
}

// newestStates gives for each flow the newest state that a claim of the batch knows. Where a batch ends several runs of a
// flow, each state is made from the one before.
func newestStates(batch []Completion, waiting []int) map[string]*knownState {
	states := make(map[string]*knownState, len(waiting))
	for _, i := range waiting {
		claim := batch[i].Claim
		if known := states[claim.Flow.Name]; known == nil || known.state.olderThan(claim.state) {
			states[claim.Flow.Name] = &knownState{claim.Flow, claim.state}
		}
	}
	return states
}

// rebase takes over the definition and state that the flow has now, so that what follows is computed from those. Where
// they cannot be read, the claim stays as it is.
func (c *Claim) rebase(outcome []any) error {
	if len(outcome) < 3 {
		return fmt.Errorf("run %s: unexpected reply of a script: %v", c.RunID, outcome)
	}
	var flow DataFlow // a new one: what the definition no longer says must not stay
	if err := json.Unmarshal([]byte(text(outcome[1])), &flow); err != nil {
		return fmt.Errorf("decode flow %s: %w", c.Flow.Name, err)
	}
	if _, err := flow.Schedule(); err != nil {
		return fmt.Errorf("flow %s: %w", c.Flow.Name, err)
	}
	state, err := decodeState(text(outcome[2]))
	if err != nil {
		return fmt.Errorf("flow %s: %w", c.Flow.Name, err)
	}
	c.Flow, c.state = flow, state
	return nil
}

func (c Completion) end() time.Time { return c.Claim.StartedAt.Add(c.Outcome.Took) }

func (c Completion) record() runRecord {
	claim, out := c.Claim, c.Outcome
	record := claim.record(out.Status)
	record.Reason, record.Error, record.Message = out.Reason, cut(out.Error), cut(out.Message)
	record.End, record.Process = c.end().UnixMilli(), out.Process
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
		Beat: escapeID(c.BeatID), Recovered: c.RecoveredID != "", Params: c.Params,
	}
	record.Created = c.created
	if !c.unbegun {
		record.Start = c.StartedAt.UnixMilli()
	}
	if slot := c.ForSlot(); !slot.IsZero() {
		record.Slot = slot.UnixMilli()
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
