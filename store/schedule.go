package store

import (
	"fmt"
	"strings"
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
		schedule, err := parseCron(f.Cron, f.Timezone)
		if err != nil {
			return Schedule{}, InvalidError{*err}
		}
		return schedule, nil
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

// Next is the slot that follows an occurrence: the first one after slot that was not yet due as of asOf. The slots
// in between are covered by the occurrence (catch-up `latest`). It takes constant time however long ago slot was.
func (s Schedule) Next(slot, asOf time.Time) (next time.Time, ok bool) {
	horizon := asOf.Add(s.slack())
	if horizon.Before(slot) {
		horizon = slot
	}
	if s.every != 0 {
		periods := horizon.Sub(slot)/s.every + 1
		return slot.Add(periods * s.every), true
	}
	return s.nextCron(horizon)
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

// nextCron finds the first slot after an instant. What runs every hour goes by elapsed time, so that it neither pauses
// nor bunches up when clocks are changed. Any other slot goes by the clock on the wall: one in an hour that is put back
// runs once, the first time; one in an hour that is left out runs at the instant at which the clocks are put forward.
func (s Schedule) nextCron(after time.Time) (time.Time, bool) {
	if s.cron == nil {
		return time.Time{}, false
	}
	if s.hourly {
		next := s.cron.Next(after.In(s.zone))
		return next.UTC(), !next.IsZero()
	}
	wall := onWall(after.In(s.zone))
	for {
		if wall = s.cron.Next(wall); wall.IsZero() {
			return time.Time{}, false
		}
		if next := fromWall(wall, s.zone); next.After(after) {
			return next.UTC(), true
		}
	}
}

// onWall is what a clock on the wall shows at t, written as if it were UTC, where no hour is missing or repeated.
func onWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// fromWall is the instant at which a clock on the wall of zone shows wall: the first of two where clocks are put back,
// and where they are put forward over it, the instant at which that happens.
func fromWall(wall time.Time, zone *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone)
	start, end := t.ZoneBounds()
	if shown := onWall(t); shown.After(wall) {
		return start
	} else if shown.Before(wall) {
		return end
	}
	if start.IsZero() {
		return t
	}
	_, offset := start.Add(-time.Nanosecond).Zone()
	if first := wall.Add(-time.Duration(offset) * time.Second); first.Before(start) {
		return first
	}
	return t
}

// cronParser reads crontab(5) syntax: five fields, with the day of month and the day of week joined by OR where both
// are given, and descriptors such as @hourly.
var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom | cron.Descriptor).
	WithMaxSearchYears(longestGap)

// longestGap is how many years may lie between two slots: from a 29th of February over a century without one to the next.
const longestGap = 8

// everyHour has the bit of each hour set, as the parser does for *.
const everyHour = 1<<24 - 1

const cronAllowed = `five fields (minute hour day month weekday) such as "*/5 * * * *", or @hourly, @daily, @weekly, @monthly, @yearly`

func parseCron(spec, timezone string) (Schedule, *FieldError) {
	if timezone == "" {
		timezone = "UTC"
	}
	zone, err := time.LoadLocation(timezone)
	if err != nil || timezone == "Local" {
		return Schedule{}, &FieldError{Field: "timezone", Found: fmt.Sprintf("%q", timezone), Allowed: "an IANA time zone such as Europe/Berlin"}
	}
	// A zone inside the expression, or @every, would be a second way to say what timezone and every say.
	if strings.Contains(spec, "TZ=") || strings.HasPrefix(spec, "@every") {
		return Schedule{}, &FieldError{Field: "cron", Found: fmt.Sprintf("%q", spec), Allowed: cronAllowed}
	}
	parsed, err := cronParser.Parse(spec)
	if err != nil {
		return Schedule{}, &FieldError{Field: "cron", Found: fmt.Sprintf("%q (%v)", spec, err), Allowed: cronAllowed}
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Schedule{}, &FieldError{Field: "cron", Found: fmt.Sprintf("%q", spec), Allowed: cronAllowed}
	}
	schedule := Schedule{cron: fields, hourly: fields.Hour&everyHour == everyHour, zone: zone}
	// The parser bakes in the local zone. What runs every hour is computed in the flow's own, anything else on the wall.
	fields.Location = time.UTC
	if schedule.hourly {
		fields.Location = zone
	}
	if _, ok := schedule.nextCron(time.Now()); !ok {
		return Schedule{}, &FieldError{Field: "cron", Found: fmt.Sprintf("%q, which no date meets", spec), Allowed: cronAllowed}
	}
	return schedule, nil
}
