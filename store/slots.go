package store

import (
	"math/bits"
	"time"
)

// After is the slot that comes right after a slot, past or not. ok is false for a schedule on demand, or one without a
// slot ahead.
func (s Schedule) After(slot time.Time) (next time.Time, ok bool) {
	if s.every != 0 {
		return slot.Add(s.every), true
	}
	return s.nextCron(slot)
}

// Latest is the last slot at or before an instant. The grid of an `every` schedule goes through anchor, any known slot,
// which may lie before or after the instant; a cron schedule has no need of it. ok is false for a schedule on demand, or
// one without a slot in the eight years before. It takes constant time for `every`, and for cron no longer than Next.
func (s Schedule) Latest(atOrBefore, anchor time.Time) (slot time.Time, ok bool) {
	if s.every != 0 {
		since := atOrBefore.Sub(anchor)
		periods := since / s.every
		if since%s.every < 0 {
			periods--
		}
		return anchor.Add(periods * s.every), true
	}
	return s.latestCron(atOrBefore)
}

func (s Schedule) latestCron(atOrBefore time.Time) (time.Time, bool) {
	if s.cron == nil {
		return time.Time{}, false
	}
	now := s.stretchAt(atOrBefore)
	wall := now.wall(atOrBefore)
	for {
		// Prev looks at whole seconds before the instant that it is given.
		last := s.cron.Prev(wall.Truncate(time.Second).Add(time.Second))
		if last.IsZero() {
			return time.Time{}, false
		}
		if now.start.IsZero() || !last.Before(now.first) {
			return now.instant(last), true
		}
		before := now.start.Add(-1)
		now = s.stretchAt(before)
		wall = now.wall(before)
	}
}

// Count is how many slots lie from one instant to another, both included. from is itself a slot: the grid of an `every`
// schedule goes through it. A schedule on demand has none. It takes constant time for `every`; for cron it looks at the
// days in between, not at their slots: a year of "* * * * *" takes well under a millisecond.
func (s Schedule) Count(from, to time.Time) int {
	switch {
	case to.Before(from):
		return 0
	case s.every != 0:
		return int(to.Sub(from)/s.every) + 1
	case s.cron == nil:
		return 0
	}
	count := 0
	for at := from; ; {
		now := s.stretchAt(at)
		if !now.endsBy(to) {
			return count + s.countIn(now, at, to)
		}
		count += s.countIn(now, at, now.end.Add(-1))
		at = now.end
	}
}

// countIn counts the slots of one stretch from one of its instants to another, both included.
func (s Schedule) countIn(now stretch, from, to time.Time) int {
	if from.After(now.start) {
		return s.countWalls(later(now.wall(from), now.first), now.wall(to))
	}
	count := s.countWalls(now.first, now.wall(to))
	if atStart := s.countWalls(now.first, now.wall(now.start)); atStart > 1 {
		count -= atStart - 1 // they are one slot
	}
	return count
}

// countWalls counts the walls that the cron expression names, from one to another, both included.
func (s Schedule) countWalls(from, to time.Time) int {
	perDay, count := s.countOfDay(day-1), 0
	for at := from.Truncate(day); !at.After(to); at = at.Add(day) {
		if !s.namesDay(at) {
			continue
		}
		count += perDay
		if from.After(at) {
			count -= s.countOfDay(from.Sub(at) - 1)
		}
		if left := to.Sub(at); left < day {
			count -= perDay - s.countOfDay(left)
		}
	}
	return count
}

const day = 24 * time.Hour

// namesDay reports whether the cron expression names the day of a wall.
func (s Schedule) namesDay(wall time.Time) bool {
	const star = 1 << 63 // is how the parser marks a field that is *
	_, month, date := wall.Date()
	if s.cron.Month&(1<<month) == 0 {
		return false
	}
	ofMonth, ofWeek := s.cron.Dom&(1<<date) != 0, s.cron.Dow&(1<<wall.Weekday()) != 0
	if (s.cron.Dom|s.cron.Dow)&star != 0 {
		return ofMonth && ofWeek
	}
	return ofMonth || ofWeek
}

// countOfDay counts the walls that the cron expression names in a day that it names, from midnight until a time of that
// day, both included.
func (s Schedule) countOfDay(until time.Duration) int {
	hour, minute := int(until/time.Hour), int(until%time.Hour/time.Minute)
	minutes := s.cron.Minute & (1<<60 - 1)
	count := bits.OnesCount64(s.cron.Hour&everyHour&(1<<hour-1)) * bits.OnesCount64(minutes)
	if s.cron.Hour&(1<<hour) != 0 {
		count += bits.OnesCount64(minutes & (1<<(minute+1) - 1))
	}
	return count
}
