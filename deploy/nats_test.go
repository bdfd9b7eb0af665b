package deploy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/trigger"
)

// patience bounds every wait of these tests, on the busiest of machines.
const patience = 2 * time.Minute

// refused reports whether the server answers what do does with a violation of permissions.
func refused(t *testing.T, server *testenv.NATSServer, user string, do func(*nats.Conn) error) bool {
	t.Helper()
	nc := testenv.Deploy(t).NATS(t, server.URL, user, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	defer nc.Close()
	if err := errors.Join(do(nc), nc.FlushTimeout(patience)); err != nil { // the server's word comes before its answer to the flush
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
		nc, err := nats.Connect(server.URL, option, nats.Timeout(patience))
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
	billing, err := trigger.NewPublisher(d.NATS(t, server.URL, "billing"), trigger.PublisherConfig{Streams: trigger.StreamConfig{Foreign: true}, AckTimeout: patience})
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
	gateway, err := trigger.NewPublisher(d.NATS(t, server.URL, "gateway"), trigger.PublisherConfig{Streams: trigger.StreamConfig{Foreign: true}, AckTimeout: patience})
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
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
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
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
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
	js, err := jetstream.New(d.NATS(t, server.URL, "operator"), jetstream.WithDefaultTimeout(patience))
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
