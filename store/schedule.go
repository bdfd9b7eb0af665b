package store

import (
	"time"

	"github.com/netresearch/go-cron"
)

// Bounds of `every`.
const (
	MinEvery = 100 * time.Millisecond
	MaxEvery = 366 * 24 * time.Hour
)

// maxSlack is how early a slot may start at most. A clock that beats once a minute is never exact; without slack, a
// beat 20 ms early would leave the slot to the next beat, and a minute flow would run every second minute.
const maxSlack = time.Second

// Schedule is when a flow is due: on a grid (`every`), by a cron expression in a time zone, or only on demand.
// The zero value is on demand. A Schedule is immutable and safe for concurrent use.
type Schedule struct {
	every  time.Duration
	cron   *cron.SpecSchedule
	hourly bool // the hour field of cron is *, or names every hour
	zone   *time.Location
}

// Schedule parses the flow's schedule. A validated flow has no error here.
func (f DataFlow) Schedule() (Schedule, error) {
	switch {
	case f.Every != 0:
		return Schedule{every: time.Duration(f.Every)}, nil
	case f.Cron != "":
		return parsedCrons.of(f.Cron, f.Timezone)
	}
	return Schedule{}, nil
}

// SameSchedule reports whether both definitions are due at the same times.
func (f DataFlow) SameSchedule(other DataFlow) bool {
	return f.Every == other.Every && f.Cron == other.Cron && f.Timezone == other.Timezone
}

// OnDemand reports whether the schedule never makes the flow due by itself.
func (s Schedule) OnDemand() bool { return s.every == 0 && s.cron == nil }

// First is the first slot of a flow that was put at now. An `every` flow that has never run is due at once. A cron
// flow waits for its first slot: its author named times, and an hour that is not among them is not one of its slots.
// ok is false for a schedule on demand, or one without a slot ahead.
func (s Schedule) First(now time.Time) (slot time.Time, ok bool) {
	if s.every != 0 {
		return now.Truncate(time.Millisecond), true
	}
	return s.nextCron(now)
}

// Next is the slot that follows an occurrence: the first one after slot that is not past as of asOf. The slots in between
// are covered by the occurrence (catch-up `latest`). It takes constant time however long ago slot was.
//
// A slot is past once asOf is later by the slack. One that has only just come due is not passed over: beats as frequent
// as the slots, each now a little before a slot and now a little after it, would else find none due, and then two.
func (s Schedule) Next(slot, asOf time.Time) (next time.Time, ok bool) {
	past := asOf.Add(-s.slack())
	if past.Before(slot) {
		past = slot
	}
	if s.every != 0 {
		periods := past.Sub(slot)/s.every + 1
		return slot.Add(periods * s.every), true
	}
	return s.nextCron(past)
}

// DueAfter is when a slot that Next gave comes due: as DueAt says, but later than asOf in any case, so that one beat
// never runs two slots of a flow.
func (s Schedule) DueAfter(slot, asOf time.Time) time.Time {
	dueAt := s.DueAt(slot)
	if DueToRun(dueAt, asOf) {
		return asOf.Truncate(time.Millisecond).Add(time.Millisecond)
	}
	return dueAt
}

// DueAt is when a slot comes due: the slot less the slack, min(every/10, 1s), by which a beat may be early.
// It is the score in the due set, and so the only thing that "due" ever compares with.
func (s Schedule) DueAt(slot time.Time) time.Time { return slot.Add(-s.slack()) }

func (s Schedule) slack() time.Duration {
	switch {
	case s.every != 0:
		return min(s.every/10, maxSlack).Truncate(time.Millisecond)
	case s.cron != nil:
		return maxSlack
	}
	return 0 // a slot that is left over from before the flow was made on demand
}
