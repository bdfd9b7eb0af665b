// Package worker turns heartbeats into runs.
//
// It owns the way of an occurrence from a heartbeat to its completion: follow beats, claim what is due, run it, renew
// its lease, complete it, and drain on shutdown. It decides nothing about time, due or ownership: the store does. It
// triggers nothing: each claim follows a beat, a run-now or a hint from outside. Timers only renew leases, and look for
// expired leases of others, to finish what a beat asked for. For the same reason it looks once at each group at the start and
// whenever the connection to NATS is back.
//
//	trigger.Follower ──▶ HeartbeatEvent ──▶ store.AcceptBeat
//	                           │ these partitions may have something to claim
//	                           ▼
//	                       claim loop ──▶ store.Claimer, as many as the worker can still hold
//	                           │ one goroutine per claim
//	                           ▼
//	                  FlowExecutor.Execute ◀── cancelled: on request, by timeout, lease lost, draining
//	                           │                        ▲
//	                           ▼                        │ every third of the lease
//	                      completer ──▶ store.Complete  renewer ──▶ store.Renew, store.Progress
//	                           │
//	                           ▼
//	              room for another claim ──▶ claim loop
//
// # States of a claim in a worker
//
//	running ──▶ completing ──▶ completed                     (the usual way)
//	   │             └───────▶ stale: dropped                (another attempt owns the occurrence)
//	   ├─ lease not renewed in time ──▶ cancelled, dropped   (its lease expires; another worker takes it over)
//	   ├─ cancel requested ──▶ cancelled ──▶ completing      (as cancelled: no retry)
//	   └─ draining ──▶ cancelled ──▶ released                (due again, no attempt spent)
//
// # What always holds
//
// A claim counts against Concurrency until its end is written. So a worker holds no more than Concurrency occurrences, and takes
// no more while Redis is away. One exception: claims whose answer was lost come on top when that answer is found.
//
// A run is cancelled, at the latest, when its lease may have expired, counted by the local clock from before the claim
// or renewal was sent. So no worker knowingly runs what another may have taken over. If a worker was frozen and
// does not know, the token decides.
//
// A partition of Redis that cannot be reached delays no other: each partition's leases are renewed and its ends written
// separately, and the worker claims from it again only once it answers.
//
// The renewal of a lease says that its run is to be cancelled; the worker then reads why. A hint over NATS only makes it renew at once.
//
// A completion is repeated until Redis has answered it; that answer is final.
//
// The program in examples/embedded makes a Worker from a NATS connection, a Store and a FlowExecutor, and runs it beside its own HTTP server.
package worker
