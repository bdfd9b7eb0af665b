// Package logkey holds the keys of log attributes, so that one thing has one name in every line.
package logkey

// Keys of log attributes. Durations are whole milliseconds.
const (
	Component    = "component"
	Group        = "group"
	Flow         = "flow"
	RunID        = "run_id"
	OccurrenceID = "occurrence_id"
	BeatID       = "beat_id"
	Worker       = "worker"
	Attempt      = "attempt"
	Slot         = "slot"
	Status       = "status"
	Reason       = "reason"
	DurationMS   = "duration_ms"
	Error        = "error"
	Subject      = "subject"
	Due          = "due"
	Triggered    = "triggered"
	Succeeded    = "succeeded"
	Failed       = "failed"
	Count        = "count"
	Listen       = "listen"
	Client       = "client"
	Principal    = "principal"  // name of whose credential a caller presented, never its value
	Claimed      = "claimed"    // the same by the caller's own account
	Credential   = "credential" // kind of it
	Issuer       = "issuer"
	Path         = "path"
	Suppressed   = "suppressed" // lines that were not written
	Route        = "route"
	Method       = "method"
	Duplicate    = "duplicate"
	MessageID    = "message_id"
	Kind         = "kind"
	Seq          = "seq"
	Consumer     = "consumer"
	Function     = "function"
	File         = "file"
	RetryAt      = "retry_at"
	From         = "from"
	To           = "to"
	Stack        = "stack" // of a panic, several lines
)
