// Package trigger brings heartbeats from outside to the workers. It owns the HTTP gateway, the subjects, streams and
// messages on NATS, and the way of a beat in between. It knows nothing of flows and nothing of Redis, and it has no
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
// A Publisher gives an Ack only for a message that JetStream has acknowledged; everything else is ErrUnavailable. A
// Follower keeps nothing on the server: a plain subscription tells it of new beats, and the stream, which holds the
// newest beat of each group as a register, tells it of those that it missed. So there is no consumer that can go deaf:
// a reconnect, a restarted server, a stream that was deleted and made anew, and a server that lost everything are all
// the same to it. Publisher, Follower and RunConsumer each make streams anew that are gone.
//
// # What is promised
//
//   - A beat that was acknowledged reaches every follower of its group that is connected or connects while the stream
//     keeps it (StreamConfig.BeatTTL), or a newer beat of the group does, which covers it: beats are idempotent.
//   - Beats of one group are handed over in order and one at a time; a slow group holds up no other. A beat whose handler
//     fails is tried again until it succeeds or a newer one is there. A beat may be handed over twice; its sequence and
//     time of storage tell that it is the same.
//   - A beat carries no time of its own. A payload that claims one is a bad message.
//   - The same message id within the duplicate window is stored once.
//   - A bad message is counted, logged once per kind and minute, kept once on systole.dead.<beat|run> with the reason in
//     a header, and taken out of the register; it stops nothing. Two things it can do: while no worker runs, it replaces
//     the beat before it in the register of its own group; and where more than 256 wait to be kept, the rest are only
//     counted.
//
// # Run requests, events, hints
//
// Requests to run a flow now wait in the work queue SYSTOLE_RUNS, and one of all workers takes each: a RunConsumer
// acknowledges when its handler has written the request down, and waits for the confirmation. If it dies before that,
// the request goes to another one, so the handler must be idempotent by the message id. A request that panics its
// handler, or takes its worker down, as often as RunConsumerConfig.MaxDeliver allows is poison: it is kept once on
// systole.dead.run and taken off the queue. Errors of the handler alone never end a request.
//
// Events are CloudEvents on systole.event.<group>.<kind>, for whoever listens; nothing of ours depends on them but
// the answer to ?wait=, for which a SettledWatch subscribes before the beat is published. The stream SYSTOLE_EVENTS keeps
// the last ones, within bounds of age, number and size; nobody waits for it, and a Follower looks now and then that it is
// there. Hints on systole.wake.<group> tell workers that there may be something to claim, those on systole.cancel.<group>
// that a run is to be cancelled; a lost one costs time, never a run.
//
// What a receiver of a webhook reports of its long job comes in at the gateway, too, with a token for that one attempt, and
// is handed to the worker that holds the run: see Callbacks.
//
// # Who may publish
//
// An Authenticator lets callers of the gateway in by tokens, signed requests, JWTs of OpenID Connect issuers and client
// certificates, and Refusals tells of those that it does not. NATS does the same for those who publish directly. Give senders leave to publish on
// systole.beat.> and systole.run.> only, gateways on systole.callback.> as well. A tick that does not carry JetStream's headers is a bad message, but whoever
// may publish on systole.tick.> can forge them. Workers also subscribe to $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>,
// where nobody but the server should be able to publish.
package trigger
