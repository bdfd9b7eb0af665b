package store

import (
	"fmt"
	"time"
)

// beat goes from one heartbeat that has something to do to the next: what lies between is skipped, not walked through.
func (s Schedule) beat(p plan, deadline time.Duration) []PreviewBeat {
	var beats []PreviewBeat
	slot, ok, dueAt := p.pending, true, s.DueAt(p.pending)
	for at := p.from; ok && len(beats) < p.count; {
		at = at.Add(max(0, dueAt.Sub(at)/p.beats) * p.beats)
		for !DueToRun(dueAt, at) {
			at = at.Add(p.beats)
		}
		var next time.Time
		end := at
		if next, ok = s.Next(slot, at); ok {
			end = next.Add(-1)
		}
		beats = append(beats, s.previewBeat(at, slot, end, deadline))
		slot, dueAt = next, s.DueAfter(next, at)
	}
	return beats
}

// previewBeat shares out the slots from one until an instant, which a heartbeat settles: a slot later than the deadline
// (0: none) is missed, the first other one runs, and its run stands for the rest.
func (s Schedule) previewBeat(at, slot, until time.Time, deadline time.Duration) PreviewBeat {
	beat := PreviewBeat{At: at}
	total := s.Count(slot, until)
	runs := slot
	if late := at.Add(-deadline - 1); deadline > 0 && !late.Before(slot) {
		beat.MissedCount = min(total, s.Count(slot, late))
		beat.Missed = s.listed(slot, beat.MissedCount)
		latest, _ := s.Latest(late, slot)
		runs, _ = s.After(latest)
	}
	if beat.MissedCount == total {
		return beat
	}
	beat.Slot, beat.CoalescedCount = &runs, total-beat.MissedCount-1
	if beat.CoalescedCount > 0 {
		further, _ := s.After(runs)
		beat.Coalesced = s.listed(further, beat.CoalescedCount)
	}
	return beat
}

// listed gives the first few of count slots.
func (s Schedule) listed(slot time.Time, count int) []time.Time {
	var slots []time.Time
	for range min(count, maxListed) {
		slots = append(slots, slot)
		slot, _ = s.After(slot)
	}
	return slots
}

// warn compares the cadence with the shortest gap between the slots, and tells what becomes of those.
func (p *Preview) warn(s Schedule, deadline time.Duration) {
	runs, coalesced, missed := 0, 0, 0
	for _, beat := range p.Beats {
		coalesced, missed = coalesced+beat.CoalescedCount, missed+beat.MissedCount
		if beat.Slot != nil {
			runs++
		}
	}
	if gap := p.shortestGap(s); gap > 0 && time.Duration(p.BeatsEvery) > gap {
		p.Warnings = append(p.Warnings, fmt.Sprintf(
			"a heartbeat every %s is slower than the flow, whose slots come as close as %s: of the next %d slots, %d run and %d are covered by the run of an earlier slot",
			p.BeatsEvery, Duration(gap), runs+coalesced+missed, runs, coalesced))
	}
	if missed > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf(
			"with a heartbeat every %s, %d of the next %d slots are missed: they come later than the start_deadline of %s",
			p.BeatsEvery, missed, runs+coalesced+missed, Duration(deadline)))
	}
}

// shortestGap is the shortest time between two of the next slots, the one after the last shown among them; 0 if there is none.
func (p *Preview) shortestGap(s Schedule) time.Duration {
	var shortest time.Duration
	for _, slot := range p.Slots {
		next, ok := s.After(slot.Slot)
		if gap := next.Sub(slot.Slot); ok && (shortest == 0 || gap < shortest) {
			shortest = gap
		}
	}
	return shortest
}
