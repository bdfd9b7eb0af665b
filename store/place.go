package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// place decides what becomes of each occurrence that was claimed: most run as they are; one for which older slots were
// missed is moved to the slot that it stands for; one whose flow may overlap leaves the flow to its next slot; one that
// has to wait, for runs that it replaces or for a place of its concurrency key, is left waiting; and one that came too late,
// was cancelled or has crashed too often is ended here. After an error, placing again does what is left.
func (c *Claimer) place(ctx context.Context, claimed *Claimed) error {
	placed := placing{claimer: c}
	for _, claim := range claimed.Claims {
		if err := placed.sort(claim); err != nil {
			return err
		}
	}
	if err := placed.write(ctx); err != nil {
		return err
	}
	if err := c.handBack(ctx, slices.Concat(claimed.unread, placed.unread)); err != nil {
		return err
	}
	if err := placed.end(ctx); err != nil {
		return err
	}
	claimed.Claims, claimed.Broken = placed.runs, append(claimed.Broken, placed.broken...)
	claimed.Missed, claimed.Ended, claimed.Replaced = placed.missed, placed.ended, placed.replaced
	claimed.Settled = append(claimed.Settled, placed.settled...)
	claimed.More = claimed.More || len(placed.over) > 0 || placed.more
	return nil
}

// handBack leaves what this worker cannot read to others.
func (c *Claimer) handBack(ctx context.Context, unread []Claim) error {
	if len(unread) == 0 {
		return nil
	}
	batch := make([]Completion, len(unread))
	for i, claim := range unread {
		batch[i] = Completion{Claim: claim, later: true}
	}
	_, err := c.store.Release(ctx, c.partition, batch)
	return err
}

// placing sorts what was claimed.
type placing struct {
	claimer *Claimer
	todo    []Claim // to be written by place.lua before they run
	runs    []Claim
	over    []Completion // to be ended
	unread  []Claim      // what their flows were changed to cannot be read
	broken  []error      // why

	missed   []Missed
	ended    []Completed
	settled  []BeatView
	replaced []string
	more     bool // room was made, or a next slot is due already
}

// sort says where a claim goes.
func (p *placing) sort(claim Claim) error {
	if outcome, ended := claim.verdict(); ended {
		p.over = append(p.over, Completion{Claim: claim, Outcome: outcome})
		return nil
	}
	decided, err := claim.plan()
	switch {
	case err != nil:
		return err
	case !decided.run:
		p.over = append(p.over, Completion{Claim: claim, Outcome: Outcome{missed: true}})
	case claim.placedBy(decided):
		p.runs = append(p.runs, claim)
	default:
		p.todo = append(p.todo, claim)
	}
	return nil
}

// verdict ends a claim that is not to be run on.
func (c Claim) verdict() (Outcome, bool) {
	switch {
	case c.cancel != "":
		return Outcome{Status: StatusCancelled, Reason: CancelReason(c.cancel), Error: c.cancel}, true
	case c.crashes >= CrashBudget:
		return Outcome{
			Status: StatusFailed, Reason: ReasonCrashes,
			Error: fmt.Sprintf("given up: its runs took their worker down %d times in a row", c.crashes),
		}, true
	}
	return Outcome{}, false
}

// CancelReason is the reason that goes with what a run is told of its cancellation.
func CancelReason(why string) string {
	for _, reason := range []string{ReasonSuperseded, ReasonTooManyOpen} {
		if strings.HasPrefix(why, reason) {
			return reason
		}
	}
	return ReasonCancelled
}

// undecided reports whether what becomes of the flow's slots is to be decided with this claim. A run-now has no slot, and a
// later attempt's is decided.
func (c Claim) undecided() bool { return c.owns() && c.tries == 0 }

// plan decides about the slot of a first attempt.
func (c Claim) plan() (plan, error) {
	if !c.undecided() {
		return plan{run: true, slot: c.Slot}, nil
	}
	planner, err := newPlanner(c.Flow, c.state.past)
	if err != nil {
		return plan{}, fmt.Errorf("flow %s: %w", c.Flow.Name, err)
	}
	return planner.plan(c.Slot, c.AsOf), nil
}

// placedBy reports whether the claim itself has placed the occurrence.
func (c Claim) placedBy(decided plan) bool {
	if c.Flow.Overlap == OverlapReplace || c.Flow.Overlap == OverlapAllow && c.undecided() {
		return false
	}
	return c.Flow.Concurrency == nil && decided.slot.Equal(c.Slot)
}

// placeAttempts bounds how often a claim is planned anew because its flow is being changed.
const placeAttempts = 20

// write has place.lua write what was decided. A claim whose flow was changed meanwhile is planned anew.
func (p *placing) write(ctx context.Context) error {
	for range placeAttempts {
		if len(p.todo) == 0 {
			return nil
		}
		todo := p.todo
		p.todo = nil
		if err := p.writeOnce(ctx, todo); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: flows are being changed all the time", ErrUnavailable)
}

func (p *placing) writeOnce(ctx context.Context, todo []Claim) error {
	var args []any
	placed, plans := make([]Claim, len(todo)), make([]plan, len(todo))
	for i, claim := range todo {
		decided, err := claim.plan()
		if err != nil {
			return err
		}
		packed, err := claim.place(decided)
		if err != nil {
			return err
		}
		args = append(args, packed...)
		placed[i], plans[i] = claim, decided
	}
	reply, err := p.claimer.store.run(ctx, p.claimer.partition, "place", always(args...))
	if err != nil {
		return err
	}
	outcomes, err := list(reply, len(todo))
	if err != nil {
		return err
	}
	for i, claim := range todo {
		if err := p.take(claim, placed[i], plans[i], outcomes[i]); err != nil {
			return err
		}
	}
	return nil
}

// take sorts a claim by what became of its placing.
func (p *placing) take(before, placed Claim, decided plan, reply any) error {
	const accepted, waits, changed, cancelled = 1, 2, 3, 4
	outcome, err := list(reply, 1)
	if err != nil {
		return err
	}
	need := map[int64]int{accepted: 3, changed: 3, cancelled: 2}[number(outcome[0])]
	if len(outcome) < need {
		return fmt.Errorf("place %s: unexpected reply of a script: %v", before.RunID, outcome)
	}
	switch number(outcome[0]) {
	case accepted:
		held := decodeHeld(text(outcome[2]))
		placed.state.rev, placed.Slot, placed.OccurrenceID = text(outcome[1]), held.slot, held.occurrence
		p.runs = append(p.runs, placed)
		p.more = p.more || placed.goesOn(decided)
		p.noteMissed(placed, decided)
	case waits:
		p.more = true
		p.noteMissed(placed, decided)
		for _, run := range outcome[1:] {
			p.replaced = append(p.replaced, text(run))
		}
	case changed:
		if err := before.rebase(outcome); err != nil {
			p.unread, p.broken = append(p.unread, before), append(p.broken, err)
			return nil
		}
		before.rev = before.state.rev
		return p.sort(before)
	case cancelled:
		before.cancel, before.unbegun = text(outcome[1]), true
		return p.sort(before)
	}
	return nil
}

func (p *placing) noteMissed(claim Claim, decided plan) {
	if len(decided.notes) > 0 {
		p.missed = append(p.missed, Missed{Flow: claim.Flow.Name, Slots: views(decided.notes)})
	}
}

// end completes what is not to be run.
func (p *placing) end(ctx context.Context) error {
	if len(p.over) == 0 {
		return nil
	}
	written, err := p.claimer.store.Complete(ctx, p.claimer.partition, p.over)
	if err != nil {
		return err
	}
	p.settled = written.Settled
	for i, answer := range written.Answers {
		switch {
		case errors.Is(answer.Err, ErrStale): // another has it
		case answer.Err != nil:
			p.broken = append(p.broken, answer.Err)
		case p.over[i].Outcome.missed:
			p.missed = append(p.missed, Missed{Flow: p.over[i].Claim.Flow.Name, Slots: answer.Skipped})
		default:
			p.ended = append(p.ended, answer)
		}
	}
	return nil
}

// place has the claim stand for the slot decided on, and gives the arguments that write it, as lua/place.lua takes them.
func (c *Claim) place(decided plan) ([]any, error) {
	schedule, err := c.Flow.Schedule()
	if err != nil {
		return nil, fmt.Errorf("flow %s: %w", c.Flow.Name, err)
	}
	tail, score, back := "", "", ""
	if c.undecided() {
		moved := !decided.slot.Equal(c.Slot)
		c.moveTo(decided)
		if moved || c.Flow.Overlap != OverlapForbid {
			score = c.leave(schedule, decided)
			if tail, err = c.state.tail(); err != nil {
				return nil, fmt.Errorf("encode state of %s: %w", c.Flow.Name, err)
			}
		}
	} else if c.Flow.Overlap == OverlapForbid {
		back = c.back(schedule)
	}
	key, most, waitsFor := "", "", ""
	if c.Flow.Concurrency != nil {
		key, most = c.Flow.Concurrency.Key, strconv.Itoa(c.Flow.Concurrency.Max)
		waitsFor = fmt.Sprintf("one of %s places of concurrency key %s", most, key)
	}
	if c.Flow.Overlap == OverlapReplace {
		waitsFor = strings.TrimPrefix(waitsFor+", or the end of runs that it replaces", ", or ")
	}
	record, err := json.Marshal(c.record(StatusInProgress))
	if err != nil {
		return nil, fmt.Errorf("encode run %s: %w", c.RunID, err)
	}
	pending := c.pending()
	pending.WaitsFor = waitsFor
	waiting, err := json.Marshal(pending)
	if err != nil {
		return nil, fmt.Errorf("encode run %s: %w", c.RunID, err)
	}
	return []any{
		c.RunID, c.Token, c.state.rev, string(record), string(waiting), msText(c.Slot), c.OccurrenceID, tail,
		packNotes(decided.notes), score, back, key, most,
	}, nil
}

// moveTo has the claim, and its flow, stand for the slot decided on.
func (c *Claim) moveTo(decided plan) {
	c.Slot = decided.slot
	c.OccurrenceID = fmt.Sprintf("%s/%s@%d", c.Partition.Group, c.Flow.Name, decided.slot.UnixMilli())
	c.state.slot = decided.slot
	c.state.past.count(decided.notes)
}

// leave has the flow wait for the next slot beside this one, if it may, and gives when that comes due.
func (c *Claim) leave(schedule Schedule, decided plan) (score string) {
	if c.Flow.Overlap == OverlapForbid {
		return ""
	}
	c.state.slot = decided.next
	switch {
	case decided.next.IsZero() || c.state.past.Paused != 0:
		return ""
	case c.Flow.Catchup == CatchupAll:
		return msText(schedule.DueAt(decided.next))
	}
	return msText(schedule.DueAfter(decided.next, c.AsOf))
}

// goesOn reports whether the flow's next slot is due as of the same beat.
func (c Claim) goesOn(decided plan) bool {
	schedule, err := c.Flow.Schedule()
	return err == nil && c.Flow.Overlap != OverlapForbid && c.Flow.Catchup == CatchupAll && !decided.next.IsZero() &&
		DueToRun(schedule.DueAt(decided.next), c.AsOf)
}

// back is when the flow's own slot comes due again after a run beside the schedule.
func (c Claim) back(schedule Schedule) string {
	if c.state.slot.IsZero() || c.state.past.Paused != 0 {
		return ""
	}
	return msText(schedule.DueAfter(c.state.slot, c.AsOf))
}

// pending is the record of a claim's run that waits again.
func (c Claim) pending() runRecord {
	record := runRecord{
		Status: StatusPending, Occurrence: c.OccurrenceID, Attempt: c.Attempt, Created: c.created, Beat: escapeID(c.BeatID),
	}
	if record.Created == 0 {
		record.Created = c.StartedAt.UnixMilli()
	}
	if slot := c.ForSlot(); !slot.IsZero() {
		record.Slot = slot.UnixMilli()
	}
	return record
}
