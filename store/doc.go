// Package store is the DataFlow model and its home in Redis.
//
// It owns what a flow, a run, a schedule and a heartbeat's effect are, and every write of them: each is one Lua script
// (folder lua), so that it happens whole or not at all, whatever dies in between. It does not know of HTTP, NATS or
// processes, starts no goroutine and no timer: nothing in it triggers anything.
//
// # States
//
//	flow's slot                     run of an occurrence
//
//	  put_flow                            enqueue
//	     │                                   │
//	     ▼    claim (due <= as-of)           ▼      claim
//	 ┌▶ due ──────────────────────▶      pending ─────────▶ in_progress ──┬─▶ success
//	 │   ▲│                        claim   ▲ │                   │        ├─▶ failed
//	 │   │▼ pause, resume       ───────────┼─┼─────────────────▶ │        └─▶ cancelled
//	 │ paused                              │ │ cancel            │
//	 │                                     │ ▼                   ├─▶ lease expires: failed (lease_lost), and the
//	 │ complete, or place where            │ cancelled           │   next claim opens the next attempt; or it is
//	 │ occurrences may overlap:            │                     │   ended: cancelled, or crashed too often
//	 └ the next slot                       └─────────────────────┘
//	                                        release; complete: a retry; place: it has to give way
//
// A pending run waits in one place: the queue (for a worker), due (a retry, for a heartbeat), or blocked: for runs of its
// flow to end, for its flow to be resumed, or for a place of its concurrency key. What is blocked is let into the queue by the
// very script that ends what it waits for.
//
// # What always holds
//
// There is one clock, Redis TIME, and it never goes back: scripts take the largest time they have seen if that is
// later. Callers never say what time it is.
//
// There is one definition of due, [DueToRun]: a flow's next slot, less its slack, is not after the as-of time of a
// heartbeat. The slack is part of the score in the due set, so claiming compares nothing else.
//
// An occurrence is in exactly one place: a slot that is due or ahead, a run that is pending, or a run under a lease. A lease
// has a token, higher than every one before it, and every write of a run names its token: a worker that lost its lease can
// write nothing. A flow's slot is not due while an occurrence of it is open, nor, with overlap: forbid, while any run of the
// flow is under lease.
//
// Several runs of a flow may end at once, on several workers. Each state is made from the one before: a script refuses what
// was made from an older revision, and the caller makes it anew.
//
// A place of a concurrency key belongs to a run under lease, or to one that was let into the queue with it. It goes on with
// the occurrence when the lease is lost, and to whoever has waited the longest when the run ends: it is counted nowhere, and
// so no crash can leave the count wrong.
//
// An occurrence (a slot being worked on) has the same id for every attempt at it. It is never lost: until a completion
// with the current token is accepted, it is due, or held under a lease that expires. At most one completion of an
// attempt is accepted; repeating it, after an answer was lost, gives the same answer.
//
// Each slot has one outcome. It ran; or the ledger says why it did not. What a claim finds missed (plan.go) is noted before
// the run that stands for it starts (place.go); what came due while a run went on is noted with that run's end (aftermath.go). Both
// depend on the definition, the slot and the beat's as-of time alone, so that whoever does it again does the same.
//
// A flow that fails for good often enough, or takes down its workers, is paused; so is one that somebody pauses. It keeps
// its slot, outside the due set, and catches up by its policy once it is resumed.
//
// A heartbeat is settled when nothing is left that was due as of it and every run claimed under it has ended.
//
// Everything kept has a bound: runs per flow, the time they are kept, the bytes of their output, beats, waiting
// run-nows.
//
// Putting a definition that is there already changes nothing: the flow keeps its slot and its history. Where a flow was
// applied from, its source, is kept apart from its definition and its state, so that it can be written whoever holds it.
//
// # Layout
//
// A group's flows live in a fixed number of partitions. A partition is a fixed set of keys under one hash tag, so
// that one script call serves a whole batch, on a single Redis as on a Cluster. lua/lib.lua names the keys.
package store
