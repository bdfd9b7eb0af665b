package store

import (
	"fmt"
	"time"
)

// MaxPreview is how many slots, and how many heartbeats, a preview shows at most.
const MaxPreview = 1000

// maxListed is how many coalesced and missed slots a heartbeat of a preview lists, beside their number.
const maxListed = 10

// Preview is what a schedule comes to: the next slots of a flow, and what heartbeats of a steady cadence make of them.
type Preview struct {
	Flow  string    `json:"flow"`
	Group string    `json:"group"`
	From  time.Time `json:"from"` // whole milliseconds
	// Overdue is a slot before From that still waits for a heartbeat; nil where none does.
	Overdue *time.Time    `json:"overdue,omitempty"`
	Slots   []PreviewSlot `json:"slots"` // from From on; empty for a flow on demand
	// BeatsEvery is the cadence; the first heartbeat comes at From. 0 leaves heartbeats out.
	BeatsEvery Duration      `json:"beats_every,omitempty"`
	Beats      []PreviewBeat `json:"beats,omitempty"` // those that would run or miss something
	// Warnings say in plain words where the cadence does not do the schedule justice.
	Warnings []string `json:"warnings"`
}

// PreviewSlot is one slot, in UTC and, for a cron schedule in another zone, on the clock of that zone (RFC 3339).
type PreviewSlot struct {
	Slot  time.Time `json:"slot"`
	Local string    `json:"local,omitempty"`
}

// PreviewBeat is what one heartbeat would do with the slots that are due as of it. Where each missed slot is caught up, it
// has an entry per run.
type PreviewBeat struct {
	At time.Time `json:"at"`
	// Slot is the slot that the run carries; nil where every slot was missed.
	Slot *time.Time `json:"slot,omitempty"`
	// Coalesced are earlier slots that the same run stands for: the first ten of CoalescedCount.
	Coalesced      []time.Time `json:"coalesced,omitempty"`
	CoalescedCount int         `json:"coalesced_count"`
	// Missed are slots for which nothing runs, by start_deadline or catchup_limit: the first ten of MissedCount.
	Missed      []time.Time `json:"missed,omitempty"`
	MissedCount int         `json:"missed_count"`
}

// Preview is what comes of the definition if it is put at from, and never runs longer than its beats are apart: the next
// count slots (1 to MaxPreview), and, with beats above 0, the next count heartbeats that have something to do when one
// comes at from and then one each beats. An `every` flow has its first slot at from; a slot of a cron flow at from counts.
//
// It asks no clock and no Redis. The error is an InvalidError where the schedule or the policies are at fault, and a
// FieldError where beats or count are.
func (f DataFlow) Preview(from time.Time, beats time.Duration, count int) (Preview, error) {
	schedule, err := f.Schedule()
	if err != nil {
		return Preview{}, err
	}
	from = from.UTC().Truncate(time.Millisecond)
	first, ok := schedule.nextCron(from.Add(-1))
	if schedule.every != 0 {
		first, ok = from, true
	}
	return f.preview(schedule, forecast{from: from, first: first, pending: first, endless: ok, beats: beats, count: count})
}

// Preview is DataFlow.Preview for a flow where it stands: on the grid of its next slot, and beginning with the slot that is
// due already, if from is not before it.
func (v FlowView) Preview(from time.Time, beats time.Duration, count int) (Preview, error) {
	schedule, err := v.Schedule()
	if err != nil || v.NextSlot == nil || schedule.OnDemand() {
		return v.DataFlow.Preview(from, beats, count)
	}
	from = from.UTC().Truncate(time.Millisecond)
	p := forecast{from: from, first: v.NextSlot.UTC(), endless: true, beats: beats, count: count}
	if v.RunningID != "" { // its next slot is being worked on
		p.first, p.endless = schedule.After(p.first)
	}
	p.pending = p.first
	if p.endless && p.first.Before(from) {
		latest, _ := schedule.Latest(from.Add(-1), p.first)
		p.first, p.endless = schedule.After(latest)
		if v.RunningID != "" || !v.Due {
			p.pending = p.first
		}
	}
	return v.preview(schedule, p)
}

// forecast is what a preview is made of: pending is the slot that waits for a heartbeat, first the first one from from on.
type forecast struct {
	from, first, pending time.Time
	endless              bool // there are such slots
	beats                time.Duration
	count                int
}

func (p forecast) validate() error {
	if p.count < 1 || p.count > MaxPreview {
		return FieldError{Field: "count", Found: fmt.Sprint(p.count), Allowed: fmt.Sprintf("1 to %d", MaxPreview)}
	}
	if p.beats != 0 && (p.beats < time.Millisecond || p.beats > MaxEvery) {
		return FieldError{Field: "beats", Found: Duration(p.beats).String(), Allowed: fmt.Sprintf("a duration from 1ms to %s, such as 1m", Duration(MaxEvery))}
	}
	return nil
}

func (f DataFlow) preview(schedule Schedule, p forecast) (Preview, error) {
	if err := p.validate(); err != nil {
		return Preview{}, err
	}
	preview := Preview{Flow: f.Name, Group: f.Group, From: p.from, Slots: []PreviewSlot{}, BeatsEvery: Duration(p.beats), Warnings: []string{}}
	if !p.endless {
		preview.Warnings = append(preview.Warnings, "the flow is on demand: no heartbeat runs it, only a run-now does")
		return preview, nil
	}
	if p.pending.Before(p.from) {
		preview.Overdue = &p.pending
	}
	for slot, ok := p.first, true; ok && len(preview.Slots) < p.count; slot, ok = schedule.After(slot) {
		preview.Slots = append(preview.Slots, schedule.previewSlot(slot))
	}
	if p.beats > 0 {
		planner := planner{flow: f.WithDefaults(), schedule: schedule}
		preview.Beats = planner.forecast(p)
		preview.warn(schedule)
	}
	return preview, nil
}

func (s Schedule) previewSlot(slot time.Time) PreviewSlot {
	shown := PreviewSlot{Slot: slot}
	if s.zone != nil && s.zone != time.UTC {
		shown.Local = slot.In(s.zone).Format(time.RFC3339)
	}
	return shown
}
