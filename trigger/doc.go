// Package trigger brings heartbeats from outside to the workers. It owns the HTTP gateway, the subjects, streams and
// messages on NATS, and the way of a beat between them. It knows nothing of flows or Redis, and has no
// clock that makes anything due: without a beat from outside, nothing happens here.
//
// # The way of a beat
//
//	GET or POST /heartbeat ─> Gateway ─ HeartbeatEvent ─> Publisher ─┐
//	                                                                 v
//	any other system ────────────────────────────────> systole.beat.<group>
//	                                                                 │ stream SYSTOLE_BEATS: the newest of each group
//	                            ┌──── at start, on reconnect, ───────┤
//	                            │     now and then                   v republished, with sequence and server time
//	                            v                            systole.tick.<group>
//	worker's handler <─ lane of the group <─ Follower <──────────────┘
//
// A Publisher returns an Ack only for a message that JetStream has acknowledged; everything else is ErrUnavailable. A
// Follower keeps no state on the server: a plain subscription brings it new beats, and it reads those that it missed from the stream, which
// holds the newest beat of each group. So there is no consumer that could stop delivering unnoticed:
// a reconnect, a restarted server, a stream that was deleted and made anew, and a server that lost everything are all
// handled alike. Publisher, Follower and RunConsumer each recreate streams that are gone.
//
// # What is promised
//
//   - A beat that was acknowledged reaches every follower of its group that is connected, or connects while the stream
//     keeps the beat (StreamConfig.BeatTTL). Or a newer beat of the group does, which covers it: beats are idempotent.
//   - Beats of one group are handed over in order and one at a time; a slow group delays no other. A beat whose handler
//     fails is tried again until it succeeds or a newer one arrives. A beat may be handed over twice; its sequence and
//     storage time show that it is the same.
//   - A beat carries no time of its own. A payload that claims one is a bad message.
//   - Within the duplicate window, messages with the same id are stored once.
//   - A bad message is counted, logged once per kind and minute, kept once on systole.dead.<beat|run> with the reason in
//     a header, and removed from the register; it stops nothing. It has two effects: while no worker runs, it replaces
//     the beat before it in the register of its own group; and if more than 256 wait to be kept, the rest are only
//     counted.
//
// # Run requests, events, hints
//
// Requests to run a flow now wait in the work queue SYSTOLE_RUNS, from which one of all workers takes each. A RunConsumer
// acknowledges once its handler has written the request down, and waits for the confirmation. If it dies before that,
// another one gets the request, so the handler must be idempotent by the message id. A request during which its
// handler panics, or its worker dies, as often as RunConsumerConfig.MaxDeliver allows is poison: it is kept once on
// systole.dead.run and taken off the queue. Errors that the handler returns never end a request.
//
// Events are CloudEvents on systole.event.<group>.<kind>, for anyone who listens. Inside Systole only
// the answer to ?wait= depends on them, for which a SettledWatch subscribes before the beat is published. The stream SYSTOLE_EVENTS keeps
// the latest, limited by age, number and size; nothing waits for it, and a Follower checks now and then that it
// exists. Hints on systole.wake.<group> tell workers that there may be something to claim, those on systole.cancel.<group>
// that a run is to be cancelled; a lost hint costs time, never a run.
//
// What the receiver of a webhook reports about its long job also comes in at the gateway, with a token for that one attempt, and
// is handed to the worker that holds the run: see Callbacks.
//
// # Who may publish
//
// An Authenticator admits callers of the gateway by tokens, signed requests, JWTs of OpenID Connect issuers and client
// certificates; Refusals logs and counts those that it does not admit. For systems that publish directly, NATS decides. Allow senders to publish on
// systole.beat.> and systole.run.> only, gateways on systole.callback.> as well. A tick without JetStream's headers is a bad message, but whoever
// may publish on systole.tick.> can forge them. Workers also subscribe to $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>,
// on which only the server should be able to publish.
package trigger
