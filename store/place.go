package store

import (
	"context"
	"encoding/json"
	"fmt"
)

// place decides what becomes of each occurrence that was claimed: most run as they are; one for which older slots were
// missed is moved to the slot that it stands for; and one that came too late, was cancelled or has crashed too often is
// ended here. What cannot be written is left to its lease, and told as broken.
func (c *Claimer) place(ctx context.Context, claimed *Claimed) error {
	var runs, moved []Claim
	var over []Completion
	for _, claim := range claimed.Claims {
		if outcome, ended := claim.verdict(); ended {
			over = append(over, Completion{Claim: claim, Outcome: outcome})
			continue
		}
		decided, err := claim.plan()
		switch {
		case err != nil:
			claimed.Broken = append(claimed.Broken, err)
		case !decided.run:
			over = append(over, Completion{Claim: claim, Outcome: Outcome{missed: true}})
		case decided.slot.Equal(claim.Slot):
			runs = append(runs, claim)
		default:
			moved = append(moved, claim)
		}
	}
	claimed.Claims = runs
	if len(moved) > 0 {
		if err := c.move(ctx, moved, claimed, &over); err != nil {
			return c.leave(claimed, err)
		}
	}
	if len(over) == 0 {
		return nil
	}
	written, err := c.store.Complete(ctx, c.partition, over)
	if err != nil {
		return c.leave(claimed, err)
	}
	claimed.Settled = append(claimed.Settled, written.Settled...)
	for i, answer := range written.Answers {
		switch {
		case answer.Err != nil:
		case over[i].Outcome.missed:
			claimed.Missed = append(claimed.Missed, Missed{Flow: over[i].Claim.Flow.Name, Slots: answer.Skipped})
		default:
			claimed.Ended = append(claimed.Ended, answer)
		}
	}
	claimed.More = true // what was ended made room
	return nil
}

// leave reports a failed write without giving up the claims that can run.
func (c *Claimer) leave(claimed *Claimed, err error) error {
	claimed.Broken = append(claimed.Broken, fmt.Errorf("place what was claimed in %s: %w", c.partition, err))
	return nil
}

// verdict ends a claim that is not to be run on.
func (c Claim) verdict() (Outcome, bool) {
	switch {
	case c.cancel != "":
		return Outcome{Status: StatusCancelled, Reason: ReasonCancelled, Error: c.cancel}, true
	case c.crashes >= CrashBudget:
		return Outcome{
			Status: StatusFailed, Reason: ReasonCrashes,
			Error: fmt.Sprintf("given up: its runs took their worker down %d times in a row", c.crashes),
		}, true
	}
	return Outcome{}, false
}

// plan decides about the slot of a first attempt. A run-now has none, and a later attempt's is decided.
func (c Claim) plan() (plan, error) {
	if c.RunNow() || c.state.attempts > 0 {
		return plan{run: true, slot: c.Slot}, nil
	}
	planner, err := newPlanner(c.Flow, c.state.past)
	if err != nil {
		return plan{}, fmt.Errorf("flow %s: %w", c.Flow.Name, err)
	}
	return planner.plan(c.Slot, c.AsOf), nil
}

// placeAttempts bounds how often a claim is planned anew because its flow is being changed.
const placeAttempts = 5

// move writes which slot each claim stands for. One whose flow was changed meanwhile is planned anew.
func (c *Claimer) move(ctx context.Context, moved []Claim, claimed *Claimed, over *[]Completion) error {
	for range placeAttempts {
		again, err := c.moveOnce(ctx, moved, claimed, over)
		if err != nil || len(again) == 0 {
			return err
		}
		moved = again
	}
	return fmt.Errorf("%w: flows are being changed all the time", ErrUnavailable)
}

func (c *Claimer) moveOnce(ctx context.Context, moved []Claim, claimed *Claimed, over *[]Completion) (again []Claim, err error) {
	var args []any
	var before, sent []Claim
	var missed [][]slotNote
	for _, claim := range moved {
		decided, err := claim.plan()
		switch {
		case err != nil:
			claimed.Broken = append(claimed.Broken, err)
			continue
		case !decided.run:
			*over = append(*over, Completion{Claim: claim, Outcome: Outcome{missed: true}})
			continue
		}
		before = append(before, claim)
		packed, err := claim.moveTo(decided)
		if err != nil {
			return nil, err
		}
		args, sent, missed = append(args, packed...), append(sent, claim), append(missed, decided.notes)
	}
	if len(sent) == 0 {
		return nil, nil
	}
	reply, err := c.store.run(ctx, c.partition, "advance", always(args...))
	if err != nil {
		return nil, err
	}
	outcomes, err := list(reply, len(sent))
	if err != nil {
		return nil, err
	}
	for i, claim := range sent {
		outcome, err := list(outcomes[i], 1)
		if err != nil {
			return nil, err
		}
		const accepted, changed = 1, 3
		switch number(outcome[0]) {
		case accepted:
			claimed.Claims = append(claimed.Claims, claim)
			if len(missed[i]) > 0 {
				claimed.Missed = append(claimed.Missed, Missed{Flow: claim.Flow.Name, Slots: views(missed[i])})
			}
		case changed:
			rebased := Completion{Claim: before[i]}
			if err := rebased.rebase(outcome); err != nil {
				return nil, err
			}
			again = append(again, rebased.Claim)
		}
	}
	return again, nil
}

// moveTo has the claim stand for the slot decided on, and gives the arguments that write it.
func (c *Claim) moveTo(decided plan) ([]any, error) {
	c.Slot = decided.slot
	c.OccurrenceID = fmt.Sprintf("%s/%s@%d", c.Partition.Group, c.Flow.Name, decided.slot.UnixMilli())
	c.state.slot = decided.slot
	c.state.past.count(decided.notes)
	record, err := json.Marshal(c.record(StatusInProgress))
	if err != nil {
		return nil, fmt.Errorf("encode run %s: %w", c.RunID, err)
	}
	tail, err := c.state.tail()
	if err != nil {
		return nil, fmt.Errorf("encode state of %s: %w", c.Flow.Name, err)
	}
	return []any{
		c.Flow.Name, c.Token, c.state.rev, c.RunID, string(record), msText(c.Slot), c.OccurrenceID, tail,
		packNotes(decided.notes),
	}, nil
}
