package trigger

import "regexp"

// Kinds of events. The first word is what the event is about, the second what became of it.
const (
	EventBeatReceived = "beat.received"
	EventBeatSettled  = "beat.settled"
	EventRunPending   = "run.pending" // accepted, waits for a worker
	EventRunStarted   = "run.started" // a worker claimed it
	EventRunSucceeded = "run.succeeded"
	EventRunFailed    = "run.failed"    // this attempt
	EventRunCancelled = "run.cancelled" // because somebody asked for it
	EventRunReleased  = "run.released"  // handed back by a worker that shut down, without spending an attempt
	EventRunRetrying  = "run.retrying"  // failed, and due again later
	EventRunRecovered = "run.recovered" // taken over from a worker that let its lease expire
	EventRunDead      = "run.dead"      // failed for good
	EventFlowCreated  = "flow.created"
	EventFlowChanged  = "flow.changed"
	EventFlowDeleted  = "flow.deleted"
	EventFlowPaused   = "flow.paused"
	EventFlowResumed  = "flow.resumed"
	EventSlotsMissed  = "slots.missed"  // nobody came in time to run them
	EventSlotsSkipped = "slots.skipped" // a policy of the flow left them out
)

// EventKinds gives every kind that Systole publishes.
func EventKinds() []string {
	return []string{
		EventBeatReceived, EventBeatSettled,
		EventRunPending, EventRunStarted, EventRunSucceeded, EventRunFailed, EventRunCancelled, EventRunReleased,
		EventRunRetrying, EventRunRecovered, EventRunDead,
		EventFlowCreated, EventFlowChanged, EventFlowDeleted, EventFlowPaused, EventFlowResumed,
		EventSlotsMissed, EventSlotsSkipped,
	}
}

// kindPattern keeps a kind from widening its subject.
var kindPattern = regexp.MustCompile(`^[a-z]{1,32}\.[a-z_]{1,32}$`)
