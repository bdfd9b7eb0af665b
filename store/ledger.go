package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// SlotRange is what became of one slot, or of neighbouring slots that ended the same way.
type SlotRange struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Count   int       `json:"count"`
	Outcome string    `json:"outcome"` // ran, running, missed, skipped, waiting or unknown
	Reason  string    `json:"reason,omitempty"`
	RunID   string    `json:"run_id,omitempty"`
	Detail  string    `json:"detail,omitempty"` // a sentence that answers "why"
}

// slotDetails say why slots did not run.
var slotDetails = map[string]string{
	ReasonNoHeartbeat:     "no heartbeat came before the next slot, and the run of a later slot covers it",
	ReasonPastDeadline:    "the first heartbeat came later than start_deadline allows",
	ReasonCatchupLimit:    "more slots were missed than catchup_limit allows to run",
	ReasonPaused:          "the flow was paused",
	ReasonStillRunning:    "an earlier occurrence of the flow had not ended when the heartbeat came (overlap: forbid)",
	ReasonSuperseded:      "a later occurrence took its place before it could run (overlap: replace)",
	ReasonTooManyOpen:     "1,000 occurrences of the flow had begun and not ended",
	ReasonScheduleChanged: "the flow's schedule was changed before a heartbeat covered it",
}

// neverRan are the reasons for which a slot is skipped after a run of it was made.
var neverRan = map[string]bool{ReasonSuperseded: true, ReasonTooManyOpen: true}

func (n slotNote) view() SlotRange {
	return SlotRange{From: n.from, To: n.to, Count: n.count, Outcome: n.outcome, Reason: n.reason, Detail: slotDetails[n.reason]}
}

func views(notes []slotNote) []SlotRange {
	all := make([]SlotRange, len(notes))
	for i, note := range notes {
		all[i] = note.view()
	}
	return all
}

// Slots lists what became of a flow's slots, the newest first: those that ran as far as their runs are kept, and the newest
// 50 ranges that did not. The slot that the flow waits for comes first. It fails with ErrNotFound.
func (s *Store) Slots(ctx context.Context, group, flow string, limit int) ([]SlotRange, error) {
	all, _, err := s.slots(ctx, group, flow)
	if err != nil {
		return nil, err
	}
	return all[:min(len(all), pageSize(limit))], nil
}

// SlotAt tells what became of the slot at an instant, and why. Where there is none, it is SlotUnknown, and Detail names the
// slots before and after. It fails with ErrNotFound for an unknown flow.
func (s *Store) SlotAt(ctx context.Context, group, flow string, at time.Time) (SlotRange, error) {
	all, stored, err := s.slots(ctx, group, flow)
	if err != nil {
		return SlotRange{}, err
	}
	for _, slot := range all {
		if !at.Before(slot.From) && !at.After(slot.To) {
			return slot, nil
		}
	}
	unknown := SlotRange{From: at, To: at, Outcome: SlotUnknown, Detail: "the flow has no such slot, or it is no longer kept"}
	schedule, err := stored.flow.Schedule()
	if err != nil || schedule.OnDemand() || stored.state.slot.IsZero() {
		return unknown, err
	}
	before, ok := schedule.Latest(at, stored.state.slot)
	if !ok {
		return unknown, nil
	}
	after, _ := schedule.After(before)
	switch {
	case before.Equal(at) && at.After(stored.state.slot):
		return SlotRange{From: at, To: at, Count: 1, Outcome: SlotWaiting, Detail: "it is still ahead"}, nil
	case before.Equal(at):
		unknown.Detail = "it is no longer kept, or from before the flow was made"
	default:
		unknown.Detail = fmt.Sprintf("not a slot of the flow; those around it are %s and %s", before.Format(time.RFC3339), after.Format(time.RFC3339))
	}
	return unknown, nil
}

func (s *Store) slots(ctx context.Context, group, name string) ([]SlotRange, storedFlow, error) {
	p := s.partitionOf(group, name)
	stored, err := s.readFlow(ctx, p, name)
	if err != nil {
		return nil, stored, fmt.Errorf("flow %s of group %s: %w", name, group, err)
	}
	packed, err := s.redis.HGet(ctx, s.key(p, "ledger"), name).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, stored, translate(err)
	}
	runs, _, err := s.Runs(ctx, group, RunFilter{Flow: name, Limit: maxPage})
	if err != nil {
		return nil, stored, err
	}
	all := views(parseNotes(packed))
	seen := map[string]bool{}
	for _, run := range runs { // the newest attempt first
		if run.Slot == nil || seen[run.OccurrenceID] {
			continue
		}
		seen[run.OccurrenceID] = true
		if !neverRan[run.Reason] || run.StartedAt != nil || run.Attempt > 1 { // else it did not run, and the ledger has it
			all = append(all, ranSlot(run))
		}
	}
	if slot := stored.state.slot; !slot.IsZero() && !stored.begun() {
		detail := "no heartbeat has covered it yet"
		if stored.state.past.Paused != 0 {
			detail = "the flow is paused"
		}
		all = append(all, SlotRange{From: slot, To: slot, Count: 1, Outcome: SlotWaiting, Detail: detail})
	}
	slices.SortStableFunc(all, func(a, b SlotRange) int { return b.To.Compare(a.To) })
	return all, stored, nil
}

// ranSlot is what the newest run of a slot says of it.
func ranSlot(run Run) SlotRange {
	slot := SlotRange{From: *run.Slot, To: *run.Slot, Count: 1, Outcome: SlotRan, RunID: run.ID, Reason: run.Reason}
	switch {
	case run.Status.Final():
		slot.Detail = fmt.Sprintf("attempt %d ended as %s", run.Attempt, run.Status)
		return slot
	case run.DueAt != nil:
		slot.Detail = fmt.Sprintf("attempt %d waits for a heartbeat from %s on", run.Attempt, run.DueAt.Format(time.RFC3339))
	case run.WaitsFor != "":
		slot.Detail = fmt.Sprintf("attempt %d waits for %s", run.Attempt, run.WaitsFor)
	default:
		slot.Detail = fmt.Sprintf("attempt %d is %s", run.Attempt, run.Status)
	}
	slot.Outcome = SlotRunning
	return slot
}
