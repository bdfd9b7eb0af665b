package trigger

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
)

func TestTheStreamsAreMadeAsDescribed(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	js := ensured(t, nc, StreamConfig{Prefix: prefix, BeatTTL: time.Hour})
	subjects := Subjects{Prefix: prefix}
	beats := streamConfig(t, js, subjects.BeatStream())
	if beats.MaxMsgsPerSubject != 1 || beats.Discard != jetstream.DiscardOld || beats.MaxAge != time.Hour ||
		beats.Duplicates != DefaultDuplicateWindow || beats.Subjects[0] != prefix+".beat.*" ||
		*beats.RePublish != (jetstream.RePublish{Source: prefix + ".beat.>", Destination: prefix + ".tick.>"}) {
		t.Errorf("beats: %+v", beats)
	}
	if runs := streamConfig(t, js, subjects.RunStream()); runs.Retention != jetstream.WorkQueuePolicy || runs.Subjects[0] != prefix+".run.>" {
		t.Errorf("runs: %+v", runs)
	}
	dead := streamConfig(t, js, subjects.DeadStream())
	if dead.MaxMsgs <= 0 || dead.MaxBytes <= 0 || dead.MaxAge <= 0 || dead.Subjects[0] != prefix+".dead.>" {
		t.Errorf("the dead are not bounded: %+v", dead)
	}
}

func TestStreamNamesFollowThePrefix(t *testing.T) {
	t.Parallel()
	if s := (Subjects{}); s.BeatStream() != "SYSTOLE_BEATS" || s.RunStream() != "SYSTOLE_RUNS" || s.DeadStream() != "SYSTOLE_DEAD" {
		t.Error(s.BeatStream(), s.RunStream(), s.DeadStream())
	}
	if s := (Subjects{Prefix: "acme.systole"}); s.BeatStream() != "ACME_SYSTOLE_BEATS" || s.Event("g", EventBeatSettled) != "acme.systole.event.g.beat.settled" {
		t.Error(s.BeatStream())
	}
}

func TestManyProcessesMayEnsureTheStreamsAtOnce(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	js := jetStream(t, nc)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := EnsureStreams(t.Context(), js, StreamConfig{Prefix: prefix}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestAnExistingStreamIsChangedWhereNoMessageIsLost(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	subjects := Subjects{Prefix: prefix}
	js := jetStream(t, nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: subjects.BeatStream(), Subjects: []string{subjects.Beat("*")}, MaxAge: time.Hour, NoAck: true, Storage: jetstream.MemoryStorage,
	}); err != nil {
		t.Fatal(err)
	}
	ensured(t, nc, StreamConfig{Prefix: prefix})
	beats := streamConfig(t, js, subjects.BeatStream())
	if beats.RePublish == nil || beats.MaxMsgsPerSubject != 1 || beats.NoAck {
		t.Errorf("not changed: %+v", beats)
	}
	if beats.MaxAge != time.Hour || beats.Storage != jetstream.MemoryStorage {
		t.Errorf("changed what nobody asked for: %+v", beats)
	}
	ensured(t, nc, StreamConfig{Prefix: prefix, BeatTTL: 2 * time.Hour, DuplicateWindow: time.Minute})
	if beats := streamConfig(t, js, subjects.BeatStream()); beats.MaxAge != 2*time.Hour || beats.Duplicates != time.Minute {
		t.Errorf("not changed: %+v", beats)
	}
}

func TestTheBoundsOfDeadLettersAreChosenAndLeftAloneWhereTheyAreNot(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	subjects := Subjects{Prefix: prefix}
	js := ensured(t, nc, StreamConfig{Prefix: prefix})
	expect := func(maxAge time.Duration, messages int64, duplicates time.Duration) {
		t.Helper()
		cfg := streamConfig(t, js, subjects.DeadStream())
		if cfg.MaxAge != maxAge || cfg.MaxMsgs != messages || cfg.Duplicates != duplicates {
			t.Errorf("keeps %d for %s, remembers ids for %s; want %d, %s and %s", cfg.MaxMsgs, cfg.MaxAge, cfg.Duplicates, messages, maxAge, duplicates)
		}
	}
	expect(DefaultDeadTTL, DefaultDeadMessages, DefaultDuplicateWindow)
	// A window that is longer than anything is kept makes way, though nothing was said of it.
	ensured(t, nc, StreamConfig{Prefix: prefix, DeadTTL: time.Minute, DeadMessages: 100})
	expect(time.Minute, 100, time.Minute)
	ensured(t, nc, StreamConfig{Prefix: prefix, EventTTL: time.Hour})
	expect(time.Minute, 100, time.Minute)
}

func TestAStreamThatServesSomebodyElseIsRefusedByNameOfTheSetting(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	subjects := Subjects{Prefix: prefix}
	js := jetStream(t, nc)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: subjects.BeatStream(), Subjects: []string{prefix + ".orders"}, Retention: jetstream.WorkQueuePolicy,
	}); err != nil {
		t.Fatal(err)
	}
	err := EnsureStreams(t.Context(), js, StreamConfig{Prefix: prefix})
	if !errors.Is(err, ErrStreamConflict) {
		t.Fatal(err)
	}
	for _, want := range []string{subjects.BeatStream(), "subjects", prefix + ".orders", prefix + ".beat.*", "retention"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestStreamSettingsAreValidatedAllAtOnce(t *testing.T) {
	t.Parallel()
	err := StreamConfig{Prefix: "A b", BeatTTL: time.Millisecond, Replicas: 9, DuplicateWindow: time.Hour}.Validate()
	for _, field := range []string{"prefix", "beat_ttl", "replicas", "duplicate_window"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestEnsuringStreamsIsUnavailableWithoutAServer(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	js := jetStream(t, testenv.Connect(t, server.URL))
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := EnsureStreams(ctx, js, StreamConfig{}); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func streamConfig(t *testing.T, js jetstream.JetStream, name string) jetstream.StreamConfig {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().Config
}
