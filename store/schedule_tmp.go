package store

import "time"

func (s Schedule) Latest(at, anchor time.Time) (time.Time, bool) {
	if s.every != 0 {
		n := at.Sub(anchor) / s.every
		slot := anchor.Add(n * s.every)
		if slot.After(at) {
			slot = slot.Add(-s.every)
		}
		return slot, true
	}
	return time.Time{}, false
}

func (s Schedule) Count(from, to time.Time) int {
	if s.every != 0 && !to.Before(from) {
		return int(to.Sub(from)/s.every) + 1
	}
	return 0
}

func (s Schedule) After(slot time.Time) (time.Time, bool) {
	if s.every != 0 {
		return slot.Add(s.every), true
	}
	return s.nextCron(slot)
}
