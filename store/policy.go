package store

import "fmt"

// Overlap says what happens when a slot comes due while the flow still runs.
type Overlap string

// The overlap policies. Forbid is the default: a flow never runs beside itself.
const (
	OverlapForbid  Overlap = "forbid"
	OverlapAllow   Overlap = "allow"
	OverlapReplace Overlap = "replace"
)

// Catchup says what happens to slots for which no heartbeat came in time.
type Catchup string

// The catch-up policies. Latest is the default: one run stands for all missed slots.
const (
	CatchupLatest Catchup = "latest"
	CatchupAll    Catchup = "all"
	CatchupNone   Catchup = "none"
)

// Retry says how often a failed occurrence is attempted, and how long to wait in between.
type Retry struct {
	Attempts int      `json:"attempts,omitempty" jsonschema:"description=Attempts in all; 1 means no retry"`
	Initial  Duration `json:"initial,omitempty" jsonschema:"description=Wait before the second attempt"`
	Factor   float64  `json:"factor,omitempty" jsonschema:"description=Growth of the wait from attempt to attempt"`
	Max      Duration `json:"max,omitempty" jsonschema:"description=Longest wait"`
	Jitter   float64  `json:"jitter,omitempty" jsonschema:"description=Random part of the wait\\, from 0 to 1"`
}

// Concurrency bounds how many runs share a key, over all flows that name it.
type Concurrency struct {
	Key string `json:"key" jsonschema:"pattern=^[a-z0-9][a-z0-9_-]{0\\,62}$"`
	// Max is the most runs that may be under way when one of this flow starts.
	Max int `json:"max" jsonschema:"minimum=1,maximum=10000"`
}

// maxConcurrency bounds Concurrency.Max.
const maxConcurrency = 10_000

func (c Concurrency) validate(invalid *InvalidError) {
	if !ValidName(c.Key) {
		invalid.add("concurrency.key", c.Key, nameAllowed)
	}
	if c.Max < 1 || c.Max > maxConcurrency {
		invalid.add("concurrency.max", fmt.Sprint(c.Max), fmt.Sprintf("1 to %d runs at a time, such as 2", maxConcurrency))
	}
}
