// Package worker makes heartbeats into runs.
//
// It owns the way of an occurrence from a heartbeat to its completion: follow beats, claim what is due, run it, renew
// its lease, complete it, and on shutdown drain. It decides nothing about time, due or ownership: the store does. It
// triggers nothing: a beat, a run-now or a hint from outside starts each claim; timers only renew leases, and look after
// leases of others that may have expired, since that finishes what a beat asked for. So does one look at each group at the start, and
// when the connection to NATS is back.
//
//	trigger.Follower ──▶ HeartbeatEvent ──▶ store.AcceptBeat
//	                           │ there may be something to claim in these partitions
//	                           ▼
//	                       claim loop ──▶ store.Claim, as many as slots are free
//	                           │ one goroutine per claim
//	                           ▼
//	                  FlowExecutor.Execute ◀── cancelled: asked for, timeout, lease lost, draining
//	                           │                        ▲
//	                           ▼                        │ every third of the lease
//	                      completer ──▶ store.Complete  renewer ──▶ store.Renew, store.Progress
//	                           │
//	                           ▼
//	                  slot free ──▶ claim loop
//
// # States of a claim in a worker
//
//	running ──▶ completing ──▶ completed                  (the usual way)
//	   │             └───────▶ stale: dropped             (another attempt owns the occurrence)
//	   ├─ lease not renewed in time ──▶ cancelled, dropped (its lease expires; someone recovers it)
//	   ├─ asked for ──▶ cancelled ──▶ completing           (as cancelled: no retry)
//	   └─ draining ──▶ cancelled ──▶ released              (due again, no attempt spent)
//
// # What always holds
//
// A claim holds its slot until its end is written, so a worker holds no more than Concurrency occurrences, and a Redis that is
// away stops it from taking more. What a claim took whose answer was lost comes on top of that when the answer is found.
//
// A run is cancelled at the latest when its lease may have expired, counted by the local clock from before the claim
// or renewal was sent; so no worker knowingly runs what another may have taken over. Where a worker was frozen and
// does not know, the token decides.
//
// A partition of Redis that cannot be reached holds up no other: its leases are renewed, and its ends written, by themselves, and it is
// not claimed from again before it answers.
//
// That a run is to be cancelled comes with the renewal of its lease, and why is read then; a hint over NATS only has that done at once.
//
// A completion is repeated until Redis has answered it; what it answers is final.
package worker
