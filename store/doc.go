// Package store is the DataFlow model and its home in Redis.
//
// It defines what a flow, a slot, an occurrence and a run are, and owns every write of them. Each write is one Lua script (folder
// lua), so that it happens completely or not at all, whatever dies in between. The package knows nothing of HTTP, NATS or
// processes, and starts no goroutine and no timer: nothing in it triggers anything.
//
// A flow is due at its slots. [Store.AcceptBeat] records a heartbeat and the time as of which it asks for what is due.
// [Claimer.Claim] takes due occurrences and opens a run for each, under a lease that [Store.Renew] extends and [Store.Complete]
// ends; completing a run also writes the flow's next slot. [Store.Enqueue] adds an occurrence that somebody asked for (a run-now).
//
// # States
//
// Of a flow's slot:
//
//	put_flow ──▶ due or ahead ──claim (due <= as-of)──▶ a run in progress
//	               ▲   │  ▲                                   │
//	  pause, resume│   ▼  └── complete: the next slot ────────┘
//	              paused      (place: already when the run starts, if occurrences may overlap)
//
// Of a run of an occurrence, where claim opens the run of a slot and enqueue that of a run-now:
//
//	enqueue ──▶ pending ──claim──▶ in_progress ◀──claim── slot
//	             │   ▲                  │
//	             │   └──────────────────┤ release; complete: a retry; place: it must give way
//	             │                      ├─ complete ──▶ success, failed or cancelled
//	             │                      └─ lease expires ──▶ failed (lease_lost); the next claim opens the next attempt,
//	             │                                           or the occurrence ends: cancelled, or crashed too often
//	             └─ cancel ──▶ cancelled
//
// A pending run waits in one place. It is in the queue, for a worker; due later, for a heartbeat (a retry); or blocked: until runs of
// its flow end, its flow is resumed, or there is a place of its concurrency key. The script that ends what a blocked run
// waits for moves it to the queue.
//
// # What always holds
//
// There is one clock, Redis TIME, and it never goes back: if a script has seen a later time before, it uses that.
// Callers never say what time it is.
//
// There is one definition of due, [DueToRun]: a flow's next slot, less its slack, is not after the as-of time of a
// heartbeat. The slack is part of the score in the due set, so claiming compares nothing else.
//
// An occurrence is in exactly one place: a slot that is due or ahead, a pending run, or a run under a lease. Each lease
// has a token, higher than every one before it, and every write of a run names its token: a worker that lost its lease can
// write nothing. A flow's slot is not due while an occurrence of it is open, nor, with overlap: forbid, while any run of the
// flow is under lease.
//
// Several runs of a flow may end at once, on several workers. Each state of the flow is computed from the one before it: a script refuses a
// state computed from an older revision, and the caller computes it again.
//
// A place of a concurrency key belongs to a run under lease, or to one that was moved to the queue with it. It stays with
// the occurrence if the lease is lost, and passes to the run that has waited longest when the run ends. It is not a counter, so
// no crash can leave the count wrong.
//
// An occurrence has the same id for every attempt at it. It is never lost: until a completion with the current token is accepted,
// it is due, or held under a lease that expires. At most one completion of an attempt is accepted; repeating it, after an
// answer was lost, gives the same answer.
//
// Each slot has one outcome: it ran, or the ledger says why it did not. Slots that a claim finds missed (plan.go) are recorded
// before the run that stands for them starts (place.go); slots that came due while a run was in progress are recorded with that run's end
// (aftermath.go). Both depend only on the definition, the slot and the beat's as-of time, so that repeating either gives the same result.
//
// A flow that fails for good often enough, or takes down its workers, is paused; people can pause a flow too. A paused flow keeps
// its slot, outside the due set, and catches up by its policy once it is resumed.
//
// A heartbeat is settled when nothing that was due as of it is left and every run claimed under it has ended.
//
// Everything kept has a bound: runs per flow, how long they are kept, the bytes of their output, beats, waiting
// run-nows.
//
// Putting a definition that is already there changes nothing: the flow keeps its slot and its history. Where a flow was
// applied from, its source, is kept apart from its definition and its state, so that it can be written whoever holds the flow.
// A flow that is deleted and put again is a new one: a run of the old one that ends leaves it alone. An attempt that is lost, handed
// back or waits goes on as an occurrence of the new one.
//
// # Layout
//
// A group's flows live in a fixed number of partitions. A partition is a fixed set of keys under one hash tag, so
// that one script call serves a whole batch, on a single Redis as well as on a Cluster. lua/lib.lua names the keys.
package store
