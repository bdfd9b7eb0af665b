package store

import (
	"strconv"
	"strings"
	"time"
)

// Bounds of catching up where the flow sets none.
const (
	// DefaultCatchupLimit is how many missed slots `catchup: all` runs at most; older ones are missed.
	DefaultCatchupLimit = 100
	// DefaultGrace is the start deadline of `catchup: none`: how late a heartbeat may be for a slot to run.
	DefaultGrace = time.Minute
)

// What became of a slot.
const (
	SlotRan     = "ran"     // its run has ended, whatever its status
	SlotRunning = "running" // an occurrence of it is under way, or waits for its next attempt
	SlotMissed  = "missed"  // no run: no heartbeat came in time
	SlotSkipped = "skipped" // no run: a heartbeat came, and a policy said no
	SlotWaiting = "waiting" // no heartbeat has covered it yet
	SlotUnknown = "unknown" // no slot of the flow, or no longer kept
)

// Why a slot was missed or skipped.
const (
	ReasonNoHeartbeat     = "no_heartbeat"     // none came before the next slot; the run of a later slot covers it
	ReasonPastDeadline    = "past_deadline"    // one came, later than start_deadline
	ReasonCatchupLimit    = "catchup_limit"    // more were missed than catchup_limit runs
	ReasonPaused          = "paused"           // the flow was paused
	ReasonStillRunning    = "still_running"    // the flow's earlier occurrence had not ended (overlap: forbid)
	ReasonScheduleChanged = "schedule_changed" // the flow's schedule was changed before a heartbeat covered it
)

// slotNote is an entry of the ledger: neighbouring slots that did not run, for one reason.
type slotNote struct {
	from, to time.Time
	count    int
	outcome  string
	reason   string
}

func (n slotNote) pack() string {
	return strings.Join([]string{msText(n.from), msText(n.to), strconv.Itoa(n.count), n.outcome, n.reason}, ",")
}

func packNotes(notes []slotNote) string {
	packed := make([]string, len(notes))
	for i, note := range notes {
		packed[i] = note.pack()
	}
	return strings.Join(packed, ";")
}

func parseNotes(packed string) []slotNote {
	var notes []slotNote
	for _, entry := range strings.Split(packed, ";") {
		parts := strings.Split(entry, ",")
		if len(parts) != 5 {
			continue
		}
		count, _ := strconv.Atoi(parts[2])
		notes = append(notes, slotNote{from: msTime(parts[0]), to: msTime(parts[1]), count: count, outcome: parts[3], reason: parts[4]})
	}
	return notes
}

// plan is what becomes of a flow's slots as of a heartbeat: at most one of them runs now, those before it do not, and
// next is the first one after it (zero for none).
type plan struct {
	run   bool
	slot  time.Time
	notes []slotNote
	next  time.Time
}

// planner decides about the slots of one flow. Its answers depend on the definition and the times alone, so that whoever
// asks again, as after a crash, gets the same.
type planner struct {
	flow     DataFlow
	schedule Schedule
	past     flowPast
}

func newPlanner(flow DataFlow, past flowPast) (planner, error) {
	schedule, err := flow.Schedule()
	return planner{flow: flow, schedule: schedule, past: past}, err
}

// plan decides by the catch-up policy and the start deadline about the slots from first on that are due as of asOf.
// first itself is due. It takes constant time however long ago first was, but for a step per slot of catchup_limit.
func (p planner) plan(first, asOf time.Time) plan {
	newest := p.newest(first, asOf)
	var done plan
	if deadline := p.deadline(); deadline > 0 {
		if last, ok := p.last(first, earlier(newest, asOf.Add(-deadline-time.Millisecond))); ok {
			done.notes = p.missed(first, last, ReasonPastDeadline)
			next, more := p.schedule.After(last)
			// The next one may have only just come due. It is not left to the next heartbeat here: that may be too late for
			// it again, and so on for ever.
			if !more || next.After(newest) && !DueToRun(p.schedule.DueAt(next), asOf) {
				done.next = next
				return done
			}
			first = next
			if next.After(newest) {
				newest = next
			}
		}
	}
	done.run, done.slot = true, newest
	if p.flow.Catchup == CatchupAll {
		done.slot = p.back(first, newest)
	}
	if last, ok := p.last(first, done.slot.Add(-time.Millisecond)); ok {
		reason := ReasonNoHeartbeat
		if p.flow.Catchup == CatchupAll {
			reason = ReasonCatchupLimit
		}
		done.notes = append(done.notes, p.missed(first, last, reason)...)
	}
	done.next, _ = p.schedule.After(done.slot)
	return done
}

// newest is the last slot that is past as of asOf, at least first. A slot is past once asOf is later by the slack: one that
// has only just come due is left to the next heartbeat, or clocks that beat as often as the flow is due, now a little
// before a slot and now a little after it, would find none due, and then two. Where each slot is to be caught up, that one is
// as good as any other.
func (p planner) newest(first, asOf time.Time) time.Time {
	past := asOf.Add(-p.schedule.slack())
	if p.flow.Catchup == CatchupAll {
		past = asOf.Add(p.schedule.slack())
	}
	if last, ok := p.last(first, past); ok {
		return last
	}
	return first
}

// last is the last slot from first up to a time, not ok if first is later.
func (p planner) last(first, upTo time.Time) (time.Time, bool) {
	if upTo.Before(first) {
		return time.Time{}, false
	}
	last, ok := p.schedule.Latest(upTo, first)
	if !ok || last.Before(first) {
		return first, true // a slot of an earlier schedule
	}
	return last, true
}

// back is the oldest slot from first on that is within the catch-up limit.
func (p planner) back(first, newest time.Time) time.Time {
	limit := p.flow.CatchupLimit
	if limit == 0 {
		limit = DefaultCatchupLimit
	}
	slot := newest
	for range limit - 1 {
		before, ok := p.last(first, slot.Add(-time.Millisecond))
		if !ok {
			break
		}
		slot = before
	}
	return slot
}

func (p planner) deadline() time.Duration {
	if p.flow.StartDeadline == 0 && p.flow.Catchup == CatchupNone {
		return DefaultGrace
	}
	return time.Duration(p.flow.StartDeadline)
}

// missed notes slots from one to another. Those that came while the flow was paused say so.
func (p planner) missed(from, to time.Time, reason string) []slotNote {
	paused, resumed := p.past.PausedFrom, p.past.Resumed
	if paused == 0 {
		return []slotNote{p.note(from, to, SlotMissed, reason)}
	}
	var notes []slotNote
	for _, part := range []struct {
		upTo   time.Time
		reason string
	}{
		{time.UnixMilli(paused - 1).UTC(), reason},
		{time.UnixMilli(resumed).UTC(), ReasonPaused},
		{to, reason},
	} {
		last, ok := p.last(from, earlier(to, part.upTo))
		if !ok {
			continue
		}
		notes = append(notes, p.note(from, last, SlotMissed, part.reason))
		next, more := p.schedule.After(last)
		if !more || next.After(to) {
			break
		}
		from = next
	}
	return notes
}

// skipped notes the slots from next on that came due as of a heartbeat while the flow was held, and gives the one after.
func (p planner) skipped(next, asOf time.Time) ([]slotNote, time.Time) {
	last, ok := p.last(next, asOf.Add(p.schedule.slack()))
	if !ok {
		return nil, next
	}
	after, _ := p.schedule.After(last)
	return []slotNote{p.note(next, last, SlotSkipped, ReasonStillRunning)}, after
}

func (p planner) note(from, to time.Time, outcome, reason string) slotNote {
	return slotNote{from: from, to: to, count: max(1, p.schedule.Count(from, to)), outcome: outcome, reason: reason}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
