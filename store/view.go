package store

import "time"

// FlowView is a flow as readers see it: its definition and where it stands.
type FlowView struct {
	DataFlow
	// Source is where the definition was applied from, the last time that something was said about it.
	Source string `json:"source,omitempty"`
	// Unreadable says why the flow cannot be read, as where a newer version wrote it. Little more than its name is known then, and
	// workers of this version leave it alone.
	Unreadable string `json:"unreadable,omitempty"`
	// NextSlot is the next slot, or the one being worked on; nil for a flow on demand or without a slot ahead.
	NextSlot *time.Time `json:"next_slot,omitempty"`
	// Due says that a beat as of now would run it.
	Due bool `json:"due"`
	// RunningID is the id of the run that a worker holds, the newest where Running, their number, is above 1.
	RunningID string `json:"running_id,omitempty"`
	Running   int    `json:"running,omitempty"`
	// What the last finished attempt was, and when it ended.
	LastRunID   string     `json:"last_run_id,omitempty"`
	LastStatus  Status     `json:"last_status,omitempty"`
	LastSlot    *time.Time `json:"last_slot,omitempty"`
	LastEndedAt *time.Time `json:"last_ended_at,omitempty"`
	// Failures counts the occurrences that failed for good since the last success.
	Failures int `json:"failures"`
	// How many slots ran, were missed and were skipped since the flow was made.
	SlotsRan     int64 `json:"slots_ran"`
	SlotsMissed  int64 `json:"slots_missed"`
	SlotsSkipped int64 `json:"slots_skipped"`
	// A paused flow starts nothing by itself; a run-now still runs.
	Paused       bool       `json:"paused"`
	PausedReason string     `json:"paused_reason,omitempty"`
	PausedAt     *time.Time `json:"paused_at,omitempty"`
}

// BeatView is one heartbeat and what came of it.
type BeatView struct {
	ID     string    `json:"id"`
	Group  string    `json:"group"`
	Source string    `json:"source,omitempty"`
	Note   string    `json:"note,omitempty"`
	AsOf   time.Time `json:"as_of"` // when Redis first saw it; what was due then is what it runs
	// LatenessMS is how long the oldest due slot had waited for a heartbeat, and GapMS how long it is since the heartbeat
	// before; both are left out where there was none.
	LatenessMS     *int64     `json:"lateness_ms,omitempty"`
	GapMS          *int64     `json:"gap_ms,omitempty"`
	FlowsDue       int        `json:"flows_due"`
	FlowsTriggered int        `json:"flows_triggered"`
	Running        int        `json:"running"`
	Succeeded      int        `json:"succeeded"`
	Failed         int        `json:"failed"`
	SettledAt      *time.Time `json:"settled_at,omitempty"`
}

// GroupStatus is a group at a glance.
type GroupStatus struct {
	Group      string     `json:"group"`
	At         time.Time  `json:"-"` // when this was read, by the clock that stamps the group's beats
	Flows      int        `json:"flows"`
	Due        int        `json:"due"`    // occurrences that a beat as of now would run
	Queued     int        `json:"queued"` // run-nows that wait for a worker or for their flow
	Running    int        `json:"running"`
	LastBeatID string     `json:"last_beat_id,omitempty"`
	LastBeatAt *time.Time `json:"last_beat_at,omitempty"`
}

// RunFilter selects runs. Zero fields select everything.
type RunFilter struct {
	Flow   string
	Status Status
	Limit  int    // 1 to 1,000; 0 means 100
	After  string // cursor that an earlier page gave as its next
}

// Change is what became of one definition.
type Change string

// The outcomes of PutFlow and PutFlows. The last two are of those who compare a source's flows with its files: what the
// files no longer have is orphaned, and deleted if that was asked for.
const (
	FlowCreated   Change = "created"
	FlowChanged   Change = "changed"
	FlowUnchanged Change = "unchanged"
	FlowOrphaned  Change = "orphaned"
	FlowDeleted   Change = "deleted"
)

// FlowChange is what became of one definition, or would.
type FlowChange struct {
	Group  string `json:"group"`
	Name   string `json:"name"`
	Result Change `json:"result" enum:"created,changed,unchanged,orphaned,deleted"`
	// Changes are the fields in which a changed flow differs, in the order of their paths.
	Changes []FieldChange `json:"changes,omitempty"`
}
