package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/trace"

	"github.com/systole-run/systole/internal/testenv"
)

const exampleTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestAPublishedBeatIsStoredBeforeItIsAcknowledged(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	ack := mustPublish(t, publisher(t, nc, subjects.Prefix), Beat{Group: "default", Source: "cron"})
	stream, err := jetStream(t, nc).Stream(t.Context(), subjects.BeatStream())
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), subjects.Beat("default"))
	if err != nil {
		t.Fatal(err)
	}
	if msg.Sequence != ack.Seq || msg.Header.Get(nats.MsgIdHdr) != ack.ID || ack.Duplicate || !ValidID(ack.ID) {
		t.Errorf("acknowledged %+v, stored %+v", ack, msg)
	}
}

func TestTheFirstPublisherMakesTheStreams(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	if ack := mustPublish(t, publisher(t, nc, prefix), Beat{Group: "default"}); ack.Seq != 1 {
		t.Errorf("%+v", ack)
	}
}

func TestARepeatedMessageIDIsADuplicate(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	p := publisher(t, nc, subjects.Prefix)
	first := mustPublish(t, p, Beat{ID: "default:key", Group: "default"})
	again := mustPublish(t, p, Beat{ID: "default:key", Group: "default", Note: "again"})
	if first.Duplicate || !again.Duplicate || again.Seq != first.Seq || again.ID != "default:key" {
		t.Errorf("first %+v, again %+v", first, again)
	}
	run := RunRequest{ID: "key", Group: "default", Flow: "orders"}
	for _, want := range []bool{false, true} {
		if ack, err := p.PublishRun(t.Context(), run); err != nil || ack.Duplicate != want {
			t.Errorf("%+v, %v", ack, err)
		}
	}
}

func TestWhatFollowersWouldRefuseIsNotPublished(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	p := publisher(t, nc, subjects.Prefix)
	for _, beat := range []Beat{
		{},
		{Group: "UPPER"},
		{Group: "a.b"},
		{Group: ">"},
		{Group: "default", ID: "a b"},
		{Group: "default", Note: "a\nb"},
		{Group: "default", Source: strings.Repeat("s", 257)},
		{Group: "default", Note: "\xff"},
	} {
		var invalid InvalidError
		if _, err := p.PublishBeat(t.Context(), beat); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", beat, err)
		}
	}
	for _, run := range []RunRequest{
		{Group: "default"},
		{Flow: "orders"},
		{Group: "default", Flow: "a.b"},
		{Group: "default", Flow: "f", ID: "\n"},
		{Group: "default", Flow: "f", Params: json.RawMessage(`[]`)},
		{Group: "default", Flow: "f", Params: json.RawMessage(`null`)},
		{Group: "default", Flow: "f", Params: json.RawMessage(`{"a":1,"a":2}`)},
		{Group: "default", Flow: "f", Params: json.RawMessage(`{"a":"` + strings.Repeat("x", MaxParams) + `"}`)},
	} {
		var invalid InvalidError
		if _, err := p.PublishRun(t.Context(), run); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", run, err)
		}
	}
}

func TestNoServerMeansUnavailableAndNeverAnAcknowledgement(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	nc := testenv.Connect(t, server.URL)
	p, err := NewPublisher(nc, PublisherConfig{AckTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, p, Beat{Group: "default"})
	server.Stop()
	// The first of these meets a connection that seems to stand, the later ones one that is known to be gone.
	for range 20 {
		if ack, err := p.PublishBeat(t.Context(), Beat{Group: "default"}); !errors.Is(err, ErrUnavailable) || ack != (Ack{}) {
			t.Fatalf("got %+v, %v", ack, err)
		}
	}
	if _, err := p.PublishRun(t.Context(), RunRequest{Group: "default", Flow: "orders"}); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	server.Restart(t, true)
	publishUntilStored(t, p, Beat{Group: "default"})
}

func TestAServerThatAnswersWithoutStoringIsUnavailable(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	// A subscriber that is no stream: core NATS takes the message, nobody keeps it.
	subscription, err := nc.SubscribeSync(prefix + ".beat.>")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = subscription.Unsubscribe() }()
	p, err := NewPublisher(nc, PublisherConfig{Streams: StreamConfig{Prefix: prefix}, AckTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.PublishBeat(t.Context(), Beat{Group: "default"}); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func TestACallerThatGoesAwayEndsItsPublish(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := publisher(t, nc, subjects.Prefix).PublishBeat(ctx, Beat{Group: "default"})
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestADeletedStreamIsMadeAnewWithTheSameMessageID(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	p := publisher(t, nc, subjects.Prefix)
	mustPublish(t, p, Beat{Group: "default"})
	for _, name := range []string{subjects.BeatStream(), subjects.RunStream()} {
		if err := jetStream(t, nc).DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			id := fmt.Sprintf("key-%d", i)
			if ack, err := p.PublishBeat(t.Context(), Beat{ID: id, Group: "default"}); err != nil || ack.ID != id || ack.Duplicate {
				t.Errorf("%+v, %v", ack, err)
			}
			if _, err := p.PublishRun(t.Context(), RunRequest{Group: "default", Flow: "orders"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestAServerThatLostEverythingGetsItsStreamsBack(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	p := publisher(t, testenv.Connect(t, server.URL), "")
	mustPublish(t, p, Beat{Group: "default"})
	server.Restart(t, false)
	if ack := publishUntilStored(t, p, Beat{Group: "default"}); ack.Seq != 1 {
		t.Errorf("%+v", ack)
	}
}

func TestTheTraceOfThePublisherTravelsInTheHeader(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	p := publisher(t, nc, subjects.Prefix)
	_, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix})
	mustPublish(t, p, Beat{Group: "default", TraceParent: exampleTrace})
	if beat := beats.next(t); beat.TraceParent != exampleTrace {
		t.Errorf("from the beat: %+v", beat)
	}
	if _, err := p.PublishBeat(WithTraceParent(t.Context(), exampleTrace), Beat{Group: "default"}); err != nil {
		t.Fatal(err)
	}
	if beat := beats.next(t); beat.TraceParent != exampleTrace {
		t.Errorf("from the context: %+v", beat)
	}
	mustPublish(t, p, Beat{Group: "default", TraceParent: "00-forged"})
	if beat := beats.next(t); beat.TraceParent != "" {
		t.Errorf("a malformed one travelled: %+v", beat)
	}
}

func TestAMalformedTraceParentIsIgnored(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "x", exampleTrace + "-more", strings.ToUpper(exampleTrace), "ff" + exampleTrace[2:],
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
	} {
		if validTraceParent(s) != "" || TraceParent(WithTraceParent(t.Context(), s)) != "" {
			t.Errorf("%q was taken", s)
		}
	}
	if span := trace.SpanContextFromContext(WithTraceParent(t.Context(), exampleTrace)); !span.IsRemote() || !span.IsSampled() {
		t.Errorf("%+v", span)
	}
}

func TestPublishesAreCountedByOutcome(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	registry := prometheus.NewRegistry()
	p, err := NewPublisher(nc, PublisherConfig{Streams: StreamConfig{Prefix: subjects.Prefix}, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mustPublish(t, p, Beat{ID: "same", Group: "default"})
	}
	outcomes := p.store.metrics.outcomes
	if stored, duplicate := testutil.ToFloat64(outcomes.WithLabelValues(subjects.BeatStream(), "stored")),
		testutil.ToFloat64(outcomes.WithLabelValues(subjects.BeatStream(), "duplicate")); stored != 1 || duplicate != 2 {
		t.Errorf("stored %v, duplicate %v", stored, duplicate)
	}
	if n, err := testutil.GatherAndCount(registry, "systole_publish_seconds"); err != nil || n != 1 {
		t.Error(n, err)
	}
	// A second one in the same process shares the metrics.
	if again, err := NewPublisher(nc, PublisherConfig{Registerer: registry}); err != nil || again.store.metrics.outcomes != outcomes {
		t.Error("metrics are not shared", err)
	}
}

// Where JetStream's own API hangs, whoever makes the streams takes long, and the others must not line up behind that.
func TestWhoeverWaitsForTheStreamsToBeMadeIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	p := publisher(t, nc, prefix)
	p.store.patience = 50 * time.Millisecond
	p.store.turn <- struct{}{} // somebody is at it
	answers := make(chan error)
	for range 5 {
		go func() {
			_, err := p.PublishBeat(context.WithoutCancel(t.Context()), Beat{Group: "default"})
			answers <- err
		}()
	}
	for range 5 {
		select {
		case err := <-answers:
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		case <-time.After(patience):
			t.Fatal("nobody is answered")
		}
	}
}

// NATS turns JetStream off by itself, as where its disk is full, and leaves the connections as they are.
func TestAPublisherIsNotReadyWhileJetStreamIsOff(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	nc := testenv.Connect(t, server.URL)
	makes := publisher(t, nc, "")
	foreign, err := NewPublisher(nc, PublisherConfig{Streams: StreamConfig{Foreign: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := makes.Ready(t.Context()); err != nil {
		t.Errorf("before there are streams, which it makes: %v", err)
	}
	if err := foreign.Ready(t.Context()); err != nil {
		t.Errorf("before there are streams, which others make: %v", err)
	}
	ensured(t, nc, StreamConfig{})
	ready := func() bool { return makes.Ready(t.Context()) == nil && foreign.Ready(t.Context()) == nil }
	until(t, "both are ready", ready)
	if err := server.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	until(t, "neither is ready", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		return errors.Is(foreign.Ready(ctx), ErrNoStream) && errors.Is(makes.Ready(ctx), ErrUnavailable)
	})
	server.Restart(t, true)
	until(t, "both are ready again", ready)
	if ack := mustPublish(t, makes, Beat{Group: "default"}); ack.Seq != 1 {
		t.Errorf("to ask left something behind: %+v", ack)
	}
}
