package store

import (
	"fmt"
	"time"
)

// forecast goes from one heartbeat that has something to do to the next: what lies between is skipped, not walked through.
func (p planner) forecast(f forecast) []PreviewBeat {
	var beats []PreviewBeat
	slot, dueAt := f.pending, p.schedule.DueAt(f.pending)
	for at := f.from; !slot.IsZero() && len(beats) < f.count; {
		at = at.Add(max(0, dueAt.Sub(at)/f.beats) * f.beats)
		for !DueToRun(dueAt, at) {
			at = at.Add(f.beats)
		}
		decided := p.plan(slot, at)
		beats = append(beats, p.previewBeat(at, decided))
		if slot = decided.next; slot.IsZero() {
			break
		}
		dueAt = p.schedule.DueAfter(slot, at)
		if p.flow.Catchup == CatchupAll {
			dueAt = p.schedule.DueAt(slot)
		}
	}
	return beats
}

func (p planner) previewBeat(at time.Time, decided plan) PreviewBeat {
	beat := PreviewBeat{At: at}
	if decided.run {
		beat.Slot = &decided.slot
	}
	for _, note := range decided.notes {
		listed := p.schedule.listed(note.from, note.count)
		if note.reason == ReasonNoHeartbeat {
			beat.Coalesced, beat.CoalescedCount = listed, note.count
			continue
		}
		beat.Missed = append(beat.Missed, listed...)
		beat.MissedCount += note.count
	}
	beat.Missed = beat.Missed[:min(len(beat.Missed), maxListed)]
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
func (p *Preview) warn(s Schedule) {
	runs, coalesced, missed := 0, 0, 0
	for _, beat := range p.Beats {
		coalesced, missed = coalesced+beat.CoalescedCount, missed+beat.MissedCount
		if beat.Slot != nil {
			runs++
		}
	}
	if gap := p.shortestGap(s); gap > 0 && time.Duration(p.BeatsEvery) > gap {
		p.Warnings = append(p.Warnings, fmt.Sprintf(
			"a heartbeat every %s is slower than the flow, whose slots come as close as %s: of the next %d slots, %d run and %d are covered by the run of a later slot",
			p.BeatsEvery, Duration(gap), runs+coalesced+missed, runs, coalesced))
	}
	if missed > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf(
			"with a heartbeat every %s, %d of the next %d slots are missed, by start_deadline or by what catchup runs",
			p.BeatsEvery, missed, runs+coalesced+missed))
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
