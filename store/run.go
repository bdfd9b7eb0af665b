package store

import (
	"encoding/json"
	"time"
)

// Status is where a run stands.
type Status string

// The statuses of a run. The last three are final.
const (
	StatusPending    Status = "pending"     // waits: for a worker, for a heartbeat that makes its retry due, or for other runs
	StatusInProgress Status = "in_progress" // a worker holds its lease
	StatusSuccess    Status = "success"
	StatusFailed     Status = "failed"
	StatusCancelled  Status = "cancelled"
)

// Statuses are all that exist, for validating filters and bounding metric labels.
var Statuses = []Status{StatusPending, StatusInProgress, StatusSuccess, StatusFailed, StatusCancelled}

// Final reports whether a run with this status can no longer change.
func (s Status) Final() bool { return s == StatusSuccess || s == StatusFailed || s == StatusCancelled }

// Reasons say in one word why a run has its status; Run.Error says it in full.
const (
	ReasonError       = "error"         // the flow's own failure: an error, a non-zero exit, a bad answer
	ReasonPanic       = "panic"         // a Go function panicked
	ReasonTimeout     = "timeout"       // the flow's timeout passed
	ReasonLimit       = "limit"         // it used more of something than it may; Run.Error names that
	ReasonRefused     = "refused"       // it could not be started: unknown function, missing command, blocked address
	ReasonLeaseLost   = "lease_lost"    // the lease expired: its worker died, froze or was cut off
	ReasonHandedBack  = "handed_back"   // its worker shut down; the occurrence went back without spending an attempt
	ReasonCancelled   = "cancelled"     // somebody asked for it
	ReasonTooManyOpen = "too_many_open" // 1,000 occurrences of the flow had begun and not ended
	ReasonSuperseded  = "superseded"    // a later occurrence of the flow took its place (overlap: replace)
	ReasonCrashes     = "crashes"       // its runs took their worker down too often; the flow is paused
)

// RunProcess is how the processes of a run ended and what they used.
type RunProcess struct {
	ExitCode   *int     `json:"exit_code,omitempty"`   // of the command; nil if it was ended by a signal
	Signal     string   `json:"signal,omitempty"`      // that ended the command, such as SIGKILL
	CPUMS      int64    `json:"cpu_ms"`                // CPU time of all processes
	PeakMemory int64    `json:"peak_memory,omitempty"` // bytes: the most that all had at once, as far as it was seen
	Limit      string   `json:"limit,omitempty"`       // the limit that was exceeded, by its name in the flow
	Sandbox    string   `json:"sandbox,omitempty"`     // the level it ran under
	Applied    []string `json:"applied,omitempty"`     // what of the sandbox this host gave
}

// Run is one attempt at an occurrence of a flow. Times are UTC, by Redis' clock.
type Run struct {
	ID           string          `json:"id"`
	Flow         string          `json:"flow"`
	Group        string          `json:"group"`
	Status       Status          `json:"status"`
	Reason       string          `json:"reason,omitempty"`
	OccurrenceID string          `json:"occurrence_id"`
	Slot         *time.Time      `json:"slot,omitempty"` // nil for a run-now
	Attempt      int             `json:"attempt,omitempty"`
	Token        string          `json:"token,omitempty"`
	Worker       string          `json:"worker,omitempty"`
	BeatID       string          `json:"beat_id,omitempty"`
	CreatedAt    *time.Time      `json:"created_at,omitempty"` // when a run-now was accepted
	DueAt        *time.Time      `json:"due_at,omitempty"`     // when a retry that waits for a heartbeat comes due
	WaitsFor     string          `json:"waits_for,omitempty"`  // what a pending run that was claimed already had to give way to
	StartedAt    *time.Time      `json:"started_at,omitempty"`
	EndedAt      *time.Time      `json:"ended_at,omitempty"`
	DurationMS   int64           `json:"duration_ms"`
	Error        string          `json:"error,omitempty"`
	Message      string          `json:"message,omitempty"`
	Recovered    bool            `json:"recovered,omitempty"` // took over an occurrence whose lease had expired
	Params       json.RawMessage `json:"params,omitempty"`
	// Process is what the system told of the run's processes; nil for kinds that have none, and while it runs.
	Process *RunProcess `json:"process,omitempty"`
	// CancelRequested says that the run is to be cancelled and that its worker has not ended it yet.
	CancelRequested bool `json:"cancel_requested,omitempty"`
}
