package trigger

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/internal/testenv"
)

func eventsOn(t testing.TB, nc *nats.Conn, prefix string) *Events {
	t.Helper()
	events, err := NewEvents(nc, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestAnEventIsACloudEventThatTheSDKReads(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	subscription, err := nc.SubscribeSync(prefix + ".event.default.run.failed")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 1, 12, 0, 0, 5000, time.UTC)
	err = eventsOn(t, nc, prefix).Publish(Event{
		ID: "e-1", Group: "default", Kind: EventRunFailed, Subject: "orders~1", Time: at, TraceParent: exampleTrace,
		Data: map[string]any{"flow": "orders", "attempt": 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	msg, err := subscription.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	var event cloudevents.Event
	if err := event.UnmarshalJSON(msg.Data); err != nil {
		t.Fatal(err)
	}
	if err := event.Validate(); err != nil {
		t.Error(err)
	}
	if event.ID() != "e-1" || event.Source() != "/systole/default" || event.Type() != "run.systole.run.failed" || event.Subject() != "orders~1" ||
		!event.Time().Equal(at) || event.SpecVersion() != "1.0" || event.Extensions()["traceparent"] != exampleTrace {
		t.Error(event)
	}
	var data struct {
		Flow    string
		Attempt int
	}
	if err := event.DataAs(&data); err != nil || data.Flow != "orders" || data.Attempt != 2 {
		t.Error(data, err)
	}
	if msg.Header.Get("content-type") != "application/cloudevents+json" || msg.Header.Get("traceparent") != exampleTrace {
		t.Error(msg.Header)
	}
}

func TestAnEventWithoutANameOfItsOwnIsNotPublished(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	events := eventsOn(t, nc, prefix)
	for _, event := range []Event{
		{},
		{Group: "default"},
		{Group: "a.b", Kind: EventRunFailed},
		{Group: "default", Kind: "run.>"},
		{Group: "default", Kind: "run"},
		{Group: "default", Kind: EventRunFailed, Data: make(chan int)},
	} {
		if err := events.Publish(event); err == nil {
			t.Errorf("%+v was published", event)
		}
	}
	if events.Wake("*") == nil {
		t.Error("a wildcard was woken")
	}
	if _, err := events.WatchSettled(">"); err == nil {
		t.Error("a wildcard was watched")
	}
	if _, err := NewEvents(nc, "a b"); err == nil {
		t.Error("a bad prefix was taken")
	}
}

func settle(t testing.TB, events *Events, settled Settled) {
	t.Helper()
	if err := events.Publish(Event{Group: settled.Group, Kind: EventBeatSettled, Subject: settled.BeatID, Data: settled}); err != nil {
		t.Fatal(err)
	}
}

// The worker may be quicker than the one who waits.
func TestAWatchSeesABeatThatSettledRightAfterItWasPublished(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	worker := testenv.Connect(t, nc.ConnectedUrl())
	workerEvents := eventsOn(t, worker, subjects.Prefix)
	follower, err := NewFollower(worker, FollowerConfig{Prefix: subjects.Prefix}, func(_ context.Context, beat Beat) error {
		return workerEvents.Publish(Event{Group: beat.Group, Kind: EventBeatSettled, Data: Settled{
			BeatID: beat.ID, Group: beat.Group, FlowsDue: 21, FlowsTriggered: 21, Succeeded: 20, Failed: 1, Timestamp: beat.StoredAt,
		}})
	})
	if err != nil {
		t.Fatal(err)
	}
	running(t, follower.Run, follower.Started())
	events, p := eventsOn(t, nc, subjects.Prefix), publisher(t, nc, subjects.Prefix)
	for range 20 {
		watch, err := events.WatchSettled("default")
		if err != nil {
			t.Fatal(err)
		}
		ack := mustPublish(t, p, Beat{Group: "default"})
		settled, err := watch.Wait(ctx, ack.ID)
		if err != nil || settled.BeatID != ack.ID || settled.FlowsDue != 21 || settled.Succeeded != 20 || settled.Failed != 1 {
			t.Fatalf("%+v, %v", settled, err)
		}
		watch.Close()
	}
}

func TestAWatchWaitsForItsOwnBeatAndKeepsTheOthers(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	events := eventsOn(t, nc, prefix)
	watch, err := events.WatchSettled("default")
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	send(t, nc, prefix+".event.default.beat.settled", "no event at all")
	if err := events.Publish(Event{Group: "default", Kind: EventBeatSettled, Data: "no settled beat"}); err != nil {
		t.Fatal(err)
	}
	settle(t, events, Settled{BeatID: "elsewhere", Group: "other"})
	for i := range 3 {
		settle(t, events, Settled{BeatID: fmt.Sprint(i), Group: "default", FlowsDue: i})
	}
	for _, i := range []int{2, 0, 1} {
		if settled, err := watch.Wait(ctx, fmt.Sprint(i)); err != nil || settled.FlowsDue != i {
			t.Errorf("%+v, %v", settled, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := watch.Wait(short, "elsewhere"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestNothingIsWatchedWithoutAServer(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	nc := testenv.Connect(t, server.URL)
	events := eventsOn(t, nc, "")
	server.Stop()
	until(t, "the connection is lost", func() bool { return !nc.IsConnected() })
	if _, err := events.WatchSettled("default"); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}
