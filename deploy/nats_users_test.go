package deploy_test

// natsUser is what a user of deploy/nats/accounts.conf may do, and what stands beside it that it may not.
type natsUser struct {
	publishes, mayNotPublish    []string
	subscribes, mayNotSubscribe []string
}

// destroying is what JetStream is asked for by those who take others' messages away.
var destroying = []string{
	"$JS.API.STREAM.DELETE.SYSTOLE_RUNS", "$JS.API.STREAM.PURGE.SYSTOLE_RUNS", "$JS.API.STREAM.PURGE.SYSTOLE_BEATS", "$JS.API.STREAM.DELETE.SYSTOLE_EVENTS",
	"$JS.API.CONSUMER.DELETE.SYSTOLE_RUNS.systole-workers", "$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.RESTORE.SYSTOLE_RUNS",
	"$JS.API.STREAM.SNAPSHOT.SYSTOLE_RUNS", "$JS.API.CONSUMER.CREATE.SYSTOLE_RUNS.thief", "$JS.API.CONSUMER.CREATE.SYSTOLE_EVENTS.thief", "$JS.API.STREAM.NAMES",
}

// making is what only those ask for who make streams.
var making = []string{
	"$JS.API.STREAM.CREATE.SYSTOLE_BEATS", "$JS.API.STREAM.UPDATE.SYSTOLE_RUNS", "$JS.API.STREAM.INFO.SYSTOLE_RUNS", "$JS.API.STREAM.MSG.GET.SYSTOLE_RUNS",
	"$JS.API.CONSUMER.MSG.NEXT.SYSTOLE_RUNS.systole-workers", "$JS.ACK.SYSTOLE_RUNS.systole-workers.1.1.1.1.0",
}

// eavesdropping is what nobody subscribes to.
var eavesdropping = []string{">", "systole.>", "_INBOX.>", "$JS.>", "$SYS.>", "systole.run.>", "systole.beat.>", "systole.dead.>"}

var natsUsers = map[string]natsUser{
	"gateway": {
		publishes:       []string{"systole.beat.default", "systole.run.default.orders", "systole.callback.default.orders~1"},
		mayNotPublish:   append([]string{"systole.tick.default", "systole.event.default.beat.settled", "systole.wake.default", "systole.cancel.default", "systole.dead.beat", "systole.beat.a.b", "_INBOX.worker.x"}, append(making, destroying...)...),
		subscribes:      []string{"systole.event.default.beat.settled", "_INBOX.gateway.>"},
		mayNotSubscribe: append([]string{"systole.event.default.run.failed", "systole.tick.*", "systole.callback.*.*", "_INBOX.worker.>"}, eavesdropping...),
	},
	"worker": {
		publishes:       []string{"systole.event.default.run.failed", "systole.wake.default", "systole.cancel.default", "systole.dead.beat", "systole.dead.run", "_INBOX.gateway.x"},
		mayNotPublish:   append([]string{"systole.beat.default", "systole.run.default.orders", "systole.tick.default", "systole.callback.default.orders~1", "_INBOX.console.x"}, destroying...),
		subscribes:      []string{"systole.tick.*", "systole.wake.*", "systole.cancel.*", "systole.callback.default.orders~1", "_INBOX.worker.>"},
		mayNotSubscribe: append([]string{"systole.event.>", "_INBOX.gateway.>"}, eavesdropping...),
	},
	"console": {
		publishes:       []string{"systole.wake.default", "systole.cancel.default", "systole.event.default.flow.paused", "systole.event.default.run.cancelled"},
		mayNotPublish:   append([]string{"systole.beat.default", "systole.run.default.orders", "systole.event.default.beat.settled", "systole.event.default.run.failed", "systole.tick.default", "_INBOX.gateway.x"}, append(making, destroying...)...),
		subscribes:      []string{"_INBOX.console.>"},
		mayNotSubscribe: append([]string{"systole.event.>", "systole.callback.*.*", "_INBOX.worker.>"}, eavesdropping...),
	},
	"scheduler": {
		publishes:       []string{"systole.beat.default", "systole.beat.reports"},
		mayNotPublish:   append([]string{"systole.run.default.orders", "systole.tick.default"}, append(making, destroying...)...),
		subscribes:      []string{"_INBOX.scheduler.>"},
		mayNotSubscribe: append([]string{"systole.event.>", "_INBOX.gateway.>"}, eavesdropping...),
	},
	"billing": {
		publishes:       []string{"systole.beat.billing", "systole.run.billing.invoices"},
		mayNotPublish:   append([]string{"systole.beat.default", "systole.run.default.orders", "systole.event.billing.run.failed", "systole.tick.billing"}, append(making, destroying...)...),
		subscribes:      []string{"_INBOX.billing.>", "systole.event.billing.>", "systole.event.billing.run.failed"},
		mayNotSubscribe: append([]string{"systole.event.>", "systole.event.*.run.failed", "systole.event.default.>", "_INBOX.gateway.>"}, eavesdropping...),
	},
	"monitor": { // in the server's account, where nothing of Systole is
		publishes:       []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.JSZ", "$SYS.REQ.SERVER.PING.HEALTHZ"},
		mayNotPublish:   []string{"$SYS.REQ.SERVER.PING.PROFILEZ", "$SYS.REQ.SERVER.X.PROFILEZ", "$SYS.REQ.SERVER.X.RELOAD", "$SYS.REQ.SERVER.X.KICK", "$SYS.REQ.CLAIMS.UPDATE", "systole.beat.default", "$JS.API.STREAM.DELETE.SYSTOLE_RUNS"},
		subscribes:      []string{"_INBOX.monitor.>"},
		mayNotSubscribe: []string{">", "$SYS.>", "systole.>"},
	},
}
