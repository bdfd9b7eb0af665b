package trigger

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
)

func TestEveryKindOfEventIsKeptAndReadAfterwards(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	events := eventsOn(t, nc, subjects.Prefix)
	kinds := EventKinds()
	for _, kind := range kinds {
		if !kindPattern.MatchString(kind) {
			t.Errorf("kind %q is none", kind)
		}
		if err := events.Publish(Event{ID: "e-" + kind, Group: "default", Kind: kind, Data: map[string]string{"flow": "orders"}}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := jetStream(t, nc).Stream(t.Context(), subjects.EventStream())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "all events are kept", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == uint64(len(kinds))
	})
	for i, kind := range kinds {
		msg, err := stream.GetMsg(t.Context(), uint64(i+1))
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
		if msg.Subject != subjects.Event("default", kind) || event.ID() != "e-"+kind || event.Type() != eventTypePrefix+kind {
			t.Errorf("%s: %v", msg.Subject, event)
		}
	}
	slices.Sort(kinds)
	if len(slices.Compact(kinds)) != len(EventKinds()) {
		t.Error("a kind is there twice")
	}
}

func TestTheEventsAreBoundedAndTheOldestGo(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	subjects := Subjects{Prefix: prefix}
	js := ensured(t, nc, StreamConfig{Prefix: prefix})
	cfg := streamConfig(t, js, subjects.EventStream())
	if cfg.MaxMsgs != DefaultEventMessages || cfg.MaxBytes != DefaultEventBytes || cfg.MaxAge != DefaultEventTTL ||
		cfg.Discard != jetstream.DiscardOld || !slices.Equal(cfg.Subjects, []string{prefix + ".event.>"}) {
		t.Errorf("%+v", cfg)
	}
	ensured(t, nc, StreamConfig{Prefix: prefix, EventTTL: time.Hour, EventBytes: 1 << 20, EventMessages: 100})
	if cfg := streamConfig(t, js, subjects.EventStream()); cfg.MaxMsgs != 100 || cfg.MaxBytes != 1<<20 || cfg.MaxAge != time.Hour {
		t.Errorf("not changed: %+v", cfg)
	}
	// What nobody speaks of stays as the operator left it.
	ensured(t, nc, StreamConfig{Prefix: prefix, BeatTTL: time.Hour})
	if cfg := streamConfig(t, js, subjects.EventStream()); cfg.MaxMsgs != 100 || cfg.MaxBytes != 1<<20 || cfg.MaxAge != time.Hour {
		t.Errorf("changed what nobody asked for: %+v", cfg)
	}
	events := eventsOn(t, nc, prefix)
	for range 150 {
		if err := events.Publish(Event{Group: "default", Kind: EventRunStarted}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(t.Context(), subjects.EventStream())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the last 100 events are left", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 100 && info.State.LastSeq == 150
	})
}

// A stream that is kept so cannot be replicated, which no update changes: it says what to do, and the others get their replicas.
func TestEventsAreNotSyncedOneByOneAndTheStreamSaysWhenThatStandsInTheWay(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	subjects := Subjects{Prefix: prefix}
	js := ensured(t, nc, StreamConfig{Prefix: prefix})
	for stream, want := range map[string]jetstream.PersistModeType{
		subjects.EventStream(): jetstream.AsyncPersistMode, subjects.RunStream(): jetstream.DefaultPersistMode, subjects.BeatStream(): jetstream.DefaultPersistMode,
	} {
		if cfg := streamConfig(t, js, stream); cfg.PersistMode != want {
			t.Errorf("%s: got %s, want %s", stream, cfg.PersistMode, want)
		}
	}
	have := streamConfig(t, js, subjects.EventStream())
	for _, want := range (StreamConfig{Prefix: prefix, Replicas: 3}).streams() {
		err := conflicts(have, want)
		if want.Name == have.Name && (!errors.Is(err, ErrStreamConflict) || !strings.Contains(err.Error(), "made anew")) {
			t.Errorf("got %v", err)
		}
		if want.Name == have.Name && want.PersistMode != jetstream.DefaultPersistMode {
			t.Errorf("a replicated stream is made with %s", want.PersistMode)
		}
	}
}

func TestTheBoundsOfEventsAndDeadLettersAreValidatedByName(t *testing.T) {
	t.Parallel()
	err := StreamConfig{EventTTL: time.Second, EventBytes: 1, EventMessages: -1, DeadTTL: -1, DeadMessages: 99}.Validate()
	for _, field := range []string{"event_ttl", "event_bytes", "event_messages", "dead_ttl", "dead_messages"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestAFollowerMakesTheStreamOfEventsAnew(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	js := jetStream(t, nc)
	follow(t, nc, FollowerConfig{Prefix: subjects.Prefix, Watchdog: 20 * time.Millisecond})
	if err := js.DeleteStream(t.Context(), subjects.EventStream()); err != nil {
		t.Fatal(err)
	}
	until(t, "the stream of events is there again", func() bool {
		_, err := js.Stream(t.Context(), subjects.EventStream())
		return err == nil
	})
}

// Somebody may keep the events in a stream of their own already; that must not stop the heartbeats.
func TestAConflictOverTheEventsLeavesTheOtherStreamsAlone(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	js, subjects := jetStream(t, nc), Subjects{Prefix: prefix}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: prefix + "-mine", Subjects: []string{prefix + ".event.>"}}); err != nil {
		t.Fatal(err)
	}
	if err := EnsureStreams(t.Context(), js, StreamConfig{Prefix: prefix}); err == nil || !strings.Contains(err.Error(), subjects.EventStream()) {
		t.Error(err)
	}
	_, beats := follow(t, nc, FollowerConfig{Prefix: prefix})
	mustPublish(t, publisher(t, nc, prefix), Beat{Group: "default"})
	beats.next(t)
}
