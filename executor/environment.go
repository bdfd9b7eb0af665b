package executor

import (
	"strconv"
	"time"
)

// Environment is what a program gets to know of its run, as NAME=value. These names are the runtime's own, and all of them are
// there: what there is none of is empty.
func (t Task) Environment() []string {
	return []string{
		"SYSTOLE_FLOW=" + t.Flow.Name,
		"SYSTOLE_GROUP=" + t.Flow.Group,
		"SYSTOLE_RUN_ID=" + t.RunID,
		"SYSTOLE_OCCURRENCE_ID=" + t.OccurrenceID,
		"SYSTOLE_SLOT=" + timestamp(t.Slot),
		"SYSTOLE_ATTEMPT=" + strconv.Itoa(t.Attempt),
		"SYSTOLE_TOKEN=" + t.Token,
		"SYSTOLE_DEADLINE=" + timestamp(t.Deadline),
		"SYSTOLE_WORKER=" + t.Worker,
		"SYSTOLE_CURSOR=" + t.Cursor,
		"TRACEPARENT=" + t.TraceParent,
	}
}

// timestamp is RFC 3339 in UTC; empty for no time, so that a script under `set -u` can ask.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
