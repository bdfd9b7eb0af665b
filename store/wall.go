package store

import "time"

// Cron names times that a clock on the wall shows. Between two changes of the clocks such a clock runs as evenly as any
// other, so slots are found and counted stretch by stretch, on walls: what the clock shows, written as if it were UTC,
// where no hour is missing or repeated. The cron library is asked about walls alone. (Asked in a zone that leaves out
// midnight, such as Africa/Cairo, it passes over that whole day.)
//
// What runs every hour goes by elapsed time, so that it neither pauses nor bunches up when clocks are changed. Any other
// slot goes by the clock on the wall: one in an hour that is put back runs once, the first time; one in an hour that is
// left out runs at the instant at which the clocks are put forward, and several of those are one slot.

// stretch is a time in which clocks are not changed: from start, which is zero where there is no earlier change, up to
// but without end, which is zero where there is no later one.
type stretch struct {
	start, end time.Time
	offset     time.Duration // of its walls from UTC
	first      time.Time     // the first wall that is a slot's in this stretch; zero if start is
}

// stretchAt is the stretch in which an instant lies.
func (s Schedule) stretchAt(at time.Time) stretch {
	at = at.In(s.zone)
	start, end := zoneBounds(at)
	found := stretch{start: start.UTC(), end: end.UTC(), offset: offsetOf(at)}
	switch {
	case start.IsZero():
	case s.hourly:
		found.first = found.wall(found.start)
	default: // walls that the clock passed over are this stretch's, those that it shows once more are not
		found.first = found.start.Add(offsetOf(start.Add(-1)))
	}
	return found
}

// zoneBounds is at.ZoneBounds with an end that is the start of what follows. Where ZoneBounds goes by a rule for all years to
// come, it ends each year after 365 days, also a leap year, and gives that same end again for the day that is left.
func zoneBounds(at time.Time) (start, end time.Time) {
	start, end = at.ZoneBounds()
	if end.IsZero() {
		return start, end
	}
	if _, again := end.ZoneBounds(); !again.IsZero() && !again.After(end) {
		end = time.Date(end.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return start, end
}

func offsetOf(at time.Time) time.Duration {
	_, seconds := at.Zone()
	return time.Duration(seconds) * time.Second
}

// wall is what the clock shows at an instant of the stretch.
func (t stretch) wall(at time.Time) time.Time { return at.UTC().Add(t.offset) }

// instant is when the slot of a wall runs: as the clock shows it, or at the start if the clock passed over it.
func (t stretch) instant(wall time.Time) time.Time {
	return later(wall.Add(-t.offset), t.start)
}

// endsBy reports whether the stretch is over at an instant.
func (t stretch) endsBy(at time.Time) bool { return !t.end.IsZero() && !at.Before(t.end) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// nextCron finds the first slot after an instant.
func (s Schedule) nextCron(after time.Time) (time.Time, bool) {
	if s.cron == nil {
		return time.Time{}, false
	}
	now := s.stretchAt(after)
	wall := later(now.wall(after), now.first.Add(-1))
	for {
		next := s.cron.Next(wall)
		if next.IsZero() {
			return time.Time{}, false
		}
		if at := now.instant(next); !now.endsBy(at) {
			return at, true
		}
		now = s.stretchAt(now.end)
		wall = now.first.Add(-1)
	}
}
