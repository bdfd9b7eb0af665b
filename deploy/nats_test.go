package deploy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/trigger"
)

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
		publishes:       []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.JSZ"},
		mayNotPublish:   []string{"$SYS.REQ.SERVER.X.RELOAD", "$SYS.REQ.SERVER.X.KICK", "$SYS.REQ.CLAIMS.UPDATE", "systole.beat.default", "$JS.API.STREAM.DELETE.SYSTOLE_RUNS"},
		subscribes:      []string{"_INBOX.monitor.>"},
		mayNotSubscribe: []string{">", "$SYS.>", "systole.>"},
	},
}

// refused reports whether the server answers what do does with a violation of permissions.
func refused(t *testing.T, server *testenv.NATSServer, user string, do func(*nats.Conn) error) bool {
	t.Helper()
	nc := testenv.Deploy(t).NATS(t, server.URL, user, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	defer nc.Close()
	if err := errors.Join(do(nc), nc.Flush()); err != nil { // the server's word comes before its answer to the flush
		t.Fatal(err)
	}
	return nc.LastError() != nil && errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}

// R2.5
func TestAUserOfNATSMayDoWhatItsRoleDoesAndNothingBeside(t *testing.T) {
	t.Parallel()
	server := testenv.Deploy(t).StartNATS(t)
	for user, rights := range natsUsers {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			publish := func(subject string) func(*nats.Conn) error {
				return func(nc *nats.Conn) error { return nc.Publish(subject, nil) }
			}
			subscribe := func(subject string) func(*nats.Conn) error {
				return func(nc *nats.Conn) error { _, err := nc.SubscribeSync(subject); return err }
			}
			for _, test := range []struct {
				subjects []string
				what     string
				do       func(string) func(*nats.Conn) error
				refused  bool
			}{
				{rights.publishes, "publish to", publish, false},
				{rights.mayNotPublish, "publish to", publish, true},
				{rights.subscribes, "subscribe to", subscribe, false},
				{rights.mayNotSubscribe, "subscribe to", subscribe, true},
			} {
				for _, subject := range test.subjects {
					if refused(t, server, user, test.do(subject)) != test.refused {
						t.Errorf("%s %s: refused is %t, want %t", test.what, subject, !test.refused, test.refused)
					}
				}
			}
		})
	}
}

func TestNATSLetsNobodyInWithoutAPassword(t *testing.T) {
	t.Parallel()
	server := testenv.Deploy(t).StartNATS(t)
	for name, option := range map[string]nats.Option{
		"nobody": nats.Name("nobody"), "no password": nats.UserInfo("worker", ""), "another's": nats.UserInfo("worker", testenv.Deploy(t).Secret(t, "nats_gateway_password")),
	} {
		nc, err := nats.Connect(server.URL, option)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: got %v, want %v", name, err, nats.ErrAuthorization)
		}
		if err == nil {
			nc.Close()
		}
	}
}

// Another system has the acknowledgement that its message is stored, and cannot touch what is stored.
func TestAnotherSystemIsAcknowledgedAndCannotPurge(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	server := d.StartNATS(t)
	makeStreams(t, d.NATS(t, server.URL, "worker"), trigger.StreamConfig{})
	billing, err := trigger.NewPublisher(d.NATS(t, server.URL, "billing"), trigger.PublisherConfig{Streams: trigger.StreamConfig{Foreign: true}})
	if err != nil {
		t.Fatal(err)
	}
	if ack, err := billing.PublishRun(t.Context(), trigger.RunRequest{Group: "billing", Flow: "invoices"}); err != nil || ack.Seq != 1 {
		t.Fatalf("got %+v and %v", ack, err)
	}
	purge := func(nc *nats.Conn) error { return nc.Publish("$JS.API.STREAM.PURGE.SYSTOLE_RUNS", nil) }
	if !refused(t, server, "billing", purge) {
		t.Error("billing may purge the queue of run-nows")
	}
	if kept := messages(t, d.NATS(t, server.URL, "operator"), "SYSTOLE_RUNS"); kept != 1 {
		t.Errorf("%d requests are kept, want 1", kept)
	}
	if refused(t, server, "operator", purge) {
		t.Error("operator may not purge")
	}
}

// A gateway that may not make streams says at once that there are none, and needs no restart once there are.
func TestAGatewayThatMakesNoStreamsWaitsForThoseOfAWorker(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	server := d.StartNATS(t)
	gateway, err := trigger.NewPublisher(d.NATS(t, server.URL, "gateway"), trigger.PublisherConfig{Streams: trigger.StreamConfig{Foreign: true}})
	if err != nil {
		t.Fatal(err)
	}
	beat := trigger.Beat{Group: "default"}
	if _, err := gateway.PublishBeat(t.Context(), beat); !errors.Is(err, trigger.ErrNoStream) || !errors.Is(err, trigger.ErrUnavailable) {
		t.Errorf("without streams: got %v", err)
	}
	makeStreams(t, d.NATS(t, server.URL, "worker"), trigger.StreamConfig{})
	if _, err := gateway.PublishBeat(t.Context(), beat); err != nil {
		t.Error(err)
	}
}

func makeStreams(t *testing.T, nc *nats.Conn, cfg trigger.StreamConfig) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := trigger.EnsureStreams(t.Context(), js, cfg); err != nil {
		t.Fatal(err)
	}
}

// messages is how many messages a stream holds.
func messages(t *testing.T, nc *nats.Conn, stream string) uint64 {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	found, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return found.CachedInfo().State.Msgs
}

// What is acknowledged is on disk, and the account has room for all streams, and for those of a cluster.
func TestNATSSyncsWhatItAcknowledgesAndBoundsTheAccount(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	server := d.StartNATS(t)
	if cfg := server.JetStreamConfig(); !cfg.SyncAlways || cfg.MaxStore != 2<<30 {
		t.Errorf("got %+v", cfg)
	}
	js, err := jetstream.New(d.NATS(t, server.URL, "operator"))
	if err != nil {
		t.Fatal(err)
	}
	account, err := js.AccountInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if limits := account.Limits; limits.MaxStore != 1<<30 || limits.MaxMemory != 0 || limits.MaxStreams != 8 {
		t.Errorf("got %+v", limits)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "UNBOUNDED", Subjects: []string{"unbounded"}})
	if err == nil || !strings.Contains(err.Error(), "max bytes") {
		t.Errorf("a stream without bounds: got %v", err)
	}
}
