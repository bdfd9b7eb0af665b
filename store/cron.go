package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

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
var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom | cron.Descriptor).
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
