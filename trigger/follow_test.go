package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/systole-run/systole/internal/metric"
	"github.com/systole-run/systole/internal/testenv"
)

// R6.6, R1.2
func TestAnEmptyPayloadPublishedByAnyoneReachesEveryFollower(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	var followers []inbox[Beat]
	for range 3 {
		_, beats := follow(t, testenv.Connect(t, nc.ConnectedUrl()), FollowerConfig{Prefix: subjects.Prefix})
		followers = append(followers, beats)
	}
	send(t, nc, subjects.Beat("default"), "")
	first := followers[0].next(t)
	if first.Group != "default" || first.Seq != 1 || time.Since(first.StoredAt).Abs() > time.Minute || first.ID != assignedID(1, first.StoredAt) {
		t.Errorf("%+v", first)
	}
	for _, beats := range followers[1:] {
		if beat := beats.next(t); beat != first {
			t.Errorf("got %+v, want %+v as the others did", beat, first)
		}
	}
}

// R6.6
func TestWhatTheSenderSaysReachesTheHandler(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	_, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix})
	send(t, nc, subjects.Beat("default"), `{"source":"erp","note":"month end"}`, "Nats-Msg-Id", "erp-1", "traceparent", exampleTrace)
	beat := beats.next(t)
	if beat.ID != "erp-1" || beat.Source != "erp" || beat.Note != "month end" || beat.TraceParent != exampleTrace {
		t.Errorf("%+v", beat)
	}
}

func TestAFollowerStartsWithTheLastBeatOfEachGroup(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	p := publisher(t, nc, subjects.Prefix)
	for i := range 3 {
		mustPublish(t, p, Beat{ID: fmt.Sprintf("a-%d", i), Group: "a"})
		mustPublish(t, p, Beat{ID: fmt.Sprintf("b-%d", i), Group: "b"})
	}
	_, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix})
	got := map[string]bool{beats.next(t).ID: true, beats.next(t).ID: true}
	if !got["a-2"] || !got["b-2"] {
		t.Errorf("got %v", got)
	}
	// The register and the tick name a message alike, so that it is not handed over twice.
	mustPublish(t, p, Beat{ID: "a-3", Group: "a"})
	if beat := beats.next(t); beat.ID != "a-3" {
		t.Errorf("%+v", beat)
	}
	beats.empty(t)
}

// A setting that is changed must not be one for new deployments alone.
func TestAFollowerThatStartsGivesStreamsThatAreThereWhatIsChosenOfThem(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	js := ensured(t, nc, StreamConfig{Prefix: prefix, BeatTTL: time.Hour, EventTTL: time.Hour})
	f, err := NewFollower(nc, FollowerConfig{Prefix: prefix, Streams: StreamConfig{EventTTL: 2 * time.Hour}}, func(context.Context, Beat) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	running(t, f.Run, f.Started())
	subjects := Subjects{Prefix: prefix}
	until(t, "events are kept for longer", func() bool { return streamConfig(t, js, subjects.EventStream()).MaxAge == 2*time.Hour })
	if age := streamConfig(t, js, subjects.BeatStream()).MaxAge; age != time.Hour {
		t.Errorf("nothing was said of beats, and they are kept for %s", age)
	}
}

func TestAFollowerOfSomeGroupsHearsNoOthers(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	p := publisher(t, nc, subjects.Prefix)
	mustPublish(t, p, Beat{Group: "theirs"})
	woken := make(chan string, 10)
	_, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix, Groups: []string{"ours"}, OnWake: func(group string) { woken <- group }})
	mustPublish(t, p, Beat{Group: "theirs"})
	mustPublish(t, p, Beat{Group: "ours"})
	if beat := beats.next(t); beat.Group != "ours" {
		t.Errorf("%+v", beat)
	}
	beats.empty(t)
	events, err := NewEvents(nc, subjects.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"theirs", "ours"} {
		if err := events.Wake(group); err != nil {
			t.Fatal(err)
		}
	}
	if group := <-woken; group != "ours" {
		t.Errorf("woken for %s", group)
	}
}

func TestAFollowerHearsOnAfterARestartWithTheStreamsKept(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	p := publisher(t, testenv.Connect(t, server.URL), "")
	mustPublish(t, p, Beat{Group: "default"})
	follower, beats := follow(t, testenv.Connect(t, server.URL), FollowerConfig{Watchdog: time.Hour})
	if beat := beats.next(t); beat.Seq != 1 {
		t.Fatalf("%+v", beat)
	}
	server.Restart(t, true)
	publishUntilStored(t, p, Beat{Group: "default"})
	if beat := beats.next(t); beat.Seq != 2 {
		t.Fatalf("the beat that was known came again, or the new one did not: %+v", beat)
	}
	until(t, "the follower is ready", follower.Ready)
}

// A beat that is stored while the follower is cut off is found in the register when the connection is back.
func TestABeatMissedWhileCutOffIsHandedOverOnReconnect(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	p := publisher(t, testenv.Connect(t, server.URL), "")
	mustPublish(t, p, Beat{Group: "default"})
	held := make(chan struct{})
	nc, err := nats.Connect(server.URL, nats.MaxReconnects(-1), nats.CustomReconnectDelay(func(int) time.Duration {
		<-held
		return 0
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	follower, beats := follow(t, nc, FollowerConfig{Watchdog: time.Hour})
	beats.next(t)
	id, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.DisconnectClientByID(id); err != nil {
		t.Fatal(err)
	}
	until(t, "the follower is cut off", func() bool { return !follower.Ready() })
	mustPublish(t, p, Beat{Group: "default", Note: "missed"})
	close(held)
	if beat := beats.next(t); beat.Note != "missed" {
		t.Errorf("%+v", beat)
	}
}

func TestTheWatchdogFindsABeatThatDidNotReachTheSubscription(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	js := jetStream(t, nc)
	// Without RePublish no tick is ever sent, which is the worst way of losing ticks.
	cfg := streamConfig(t, js, subjects.BeatStream())
	_, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix, Watchdog: 20 * time.Millisecond})
	cfg.RePublish = nil
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(3) {
		send(t, nc, subjects.Beat("default"), "")
		if beat := beats.next(t); beat.Seq != seq+1 {
			t.Fatalf("%+v", beat)
		}
	}
}

func TestARecreatedStreamDoesNotMakeAFollowerDeaf(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	js := jetStream(t, nc)
	p := publisher(t, nc, subjects.Prefix)
	// The second one's watchdog makes the stream anew at the same time as the publisher does.
	_, calm := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix, Watchdog: time.Hour})
	for range 3 {
		mustPublish(t, p, Beat{Group: "default"})
		calm.next(t)
	}
	if err := js.DeleteStream(t.Context(), subjects.BeatStream()); err != nil {
		t.Fatal(err)
	}
	ack := mustPublish(t, p, Beat{Group: "default"})
	if beat := calm.next(t); beat.Seq != 1 || beat.ID != ack.ID {
		t.Fatalf("%+v", beat)
	}
	follower, busy := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix, Watchdog: 20 * time.Millisecond})
	busy.next(t)
	for range 5 {
		// See recreateDelay: deleting a stream while it is being made is more than the server can take.
		until(t, "nobody is making streams", func() bool { return len(follower.register.store.turn) == 0 })
		if err := js.DeleteStream(t.Context(), subjects.BeatStream()); err != nil {
			t.Fatal(err)
		}
		ack := publishUntilStored(t, p, Beat{Group: "default"})
		for _, beats := range []inbox[Beat]{calm, busy} {
			if beat := beats.next(t); beat.ID != ack.ID {
				t.Fatalf("%+v", beat)
			}
		}
	}
}

// The register alone must notice it, too: sequences that start over look like ones that were read.
func TestARecreatedRegisterIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	js := jetStream(t, nc)
	store, err := newStorer(nc, StreamConfig{Prefix: subjects.Prefix}, 0, newPublishMetrics(nil))
	if err != nil {
		t.Fatal(err)
	}
	register := &beatRegister{store: store, subjects: subjects}
	read := func() (seqs []uint64) {
		if err := register.unread(t.Context(), func(m stored, _ error) { seqs = append(seqs, m.seq) }); err != nil {
			t.Fatal(err)
		}
		return seqs
	}
	p := publisher(t, nc, subjects.Prefix)
	for range 3 {
		mustPublish(t, p, Beat{Group: "default"})
	}
	if got := read(); fmt.Sprint(got) != "[3]" {
		t.Errorf("first look: %v", got)
	}
	if got := read(); len(got) != 0 {
		t.Errorf("nothing new, and yet: %v", got)
	}
	if err := js.DeleteStream(t.Context(), subjects.BeatStream()); err != nil {
		t.Fatal(err)
	}
	if got := read(); len(got) != 0 { // makes the stream anew
		t.Errorf("nothing there, and yet: %v", got)
	}
	mustPublish(t, p, Beat{Group: "default"})
	if got := read(); fmt.Sprint(got) != "[1]" {
		t.Errorf("after it was recreated: %v", got)
	}
}

// Nobody publishes through us here: the follower itself has to give the server its streams back.
func TestAFollowerIsNotReadyWhileItCannotLookForWhatItMissed(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	follower, _ := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix, Watchdog: 10 * time.Millisecond, Streams: StreamConfig{Foreign: true}})
	until(t, "the follower is ready", follower.Ready)
	js := jetStream(t, nc)
	if err := js.DeleteStream(t.Context(), subjects.BeatStream()); err != nil {
		t.Fatal(err)
	}
	until(t, "it is not", func() bool { return !follower.Ready() })
	ensured(t, nc, StreamConfig{Prefix: subjects.Prefix})
	until(t, "it is again", follower.Ready)
}

func TestAServerThatLostEverythingIsHeardAgain(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	sender := testenv.Connect(t, server.URL)
	_, beats := follow(t, testenv.Connect(t, server.URL), FollowerConfig{Watchdog: time.Hour})
	send(t, sender, "systole.beat.default", "")
	beats.next(t)
	server.Restart(t, false)
	js := jetStream(t, sender)
	until(t, "the stream is there again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.Stream(ctx, "SYSTOLE_BEATS")
		return err == nil
	})
	send(t, sender, "systole.beat.default", "")
	if beat := beats.next(t); beat.Seq != 1 {
		t.Errorf("%+v", beat)
	}
}

func TestAFollowerWaitsForAServerThatComesLater(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	url := server.URL
	server.Stop()
	nc, err := nats.Connect(url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close) // after the follower, which the next cleanup ends
	beats := newInbox[Beat]()
	follower, err := NewFollower(nc, FollowerConfig{}, beats.take)
	if err != nil {
		t.Fatal(err)
	}
	if follower.Ready() {
		t.Error("ready without a server")
	}
	server.Restart(t, true)
	running(t, follower.Run, follower.Started())
	send(t, nc, "systole.beat.default", "")
	beats.next(t)
}

func TestBeatsOfAGroupAreHandledInOrderAndASlowGroupHoldsUpNobody(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	release := make(chan struct{})
	handled := newInbox[Beat]()
	follower, err := NewFollower(nc, FollowerConfig{Prefix: subjects.Prefix}, func(ctx context.Context, beat Beat) error {
		if beat.Group == "slow" {
			<-release
		}
		return handled.take(ctx, beat)
	})
	if err != nil {
		t.Fatal(err)
	}
	running(t, follower.Run, follower.Started())
	p := publisher(t, nc, subjects.Prefix)
	for i := range 20 {
		mustPublish(t, p, Beat{ID: fmt.Sprintf("slow-%02d", i), Group: "slow"})
	}
	for i := range 5 {
		id := fmt.Sprintf("fast-%02d", i)
		mustPublish(t, p, Beat{ID: id, Group: "fast"})
		if beat := handled.next(t); beat.ID != id {
			t.Errorf("got %s, want %s", beat.ID, id)
		}
	}
	close(release)
	for i := range 20 {
		if beat := handled.next(t); beat.ID != fmt.Sprintf("slow-%02d", i) {
			t.Errorf("got %s as number %d", beat.ID, i)
		}
	}
}

func TestAFailedBeatIsTriedAgainUntilItSucceeds(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	var attempts atomic.Int32
	handled := newInbox[Beat]()
	follower, err := NewFollower(nc, FollowerConfig{Prefix: subjects.Prefix}, func(ctx context.Context, beat Beat) error {
		if attempts.Add(1) < 3 {
			return errors.New("Redis is away")
		}
		return handled.take(ctx, beat)
	})
	if err != nil {
		t.Fatal(err)
	}
	running(t, follower.Run, follower.Started())
	mustPublish(t, publisher(t, nc, subjects.Prefix), Beat{Group: "default"})
	handled.next(t)
	if got := attempts.Load(); got != 3 {
		t.Errorf("%d attempts", got)
	}
}

func TestANewerBeatCoversOneThatFails(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	handled, failed := newInbox[Beat](), newInbox[Beat]()
	registry := prometheus.NewRegistry()
	follower, err := NewFollower(nc, FollowerConfig{Prefix: subjects.Prefix, Registerer: registry}, func(ctx context.Context, beat Beat) error {
		if beat.Note == "fails" {
			return errors.Join(failed.take(ctx, beat), errors.New("never works"))
		}
		return handled.take(ctx, beat)
	})
	if err != nil {
		t.Fatal(err)
	}
	running(t, follower.Run, follower.Started())
	p := publisher(t, nc, subjects.Prefix)
	mustPublish(t, p, Beat{Group: "default", Note: "fails"})
	failed.next(t)
	mustPublish(t, p, Beat{Group: "default", Note: "newer"})
	if beat := handled.next(t); beat.Note != "newer" {
		t.Errorf("%+v", beat)
	}
	if covered := testutil.ToFloat64(follower.metrics.covered); covered != 1 {
		t.Errorf("covered %v", covered)
	}
}

func TestAFloodedGroupKeepsItsNewestBeats(t *testing.T) {
	t.Parallel()
	handled, release, begun := newInbox[Beat](), make(chan struct{}), make(chan struct{}, maxWaiting*2)
	metrics := newFollowMetrics(nil)
	queue := newLanes(func(ctx context.Context, beat Beat) error {
		begun <- struct{}{}
		<-release
		return handled.take(ctx, beat)
	}, metrics, orDiscard(nil))
	queue.put(t.Context(), Beat{Group: "g", Seq: 1})
	<-begun
	const flood = maxWaiting + 100
	for seq := range uint64(flood) {
		queue.put(t.Context(), Beat{Group: "g", Seq: seq + 2})
	}
	close(release)
	queue.wait()
	if covered := testutil.ToFloat64(metrics.covered); covered != 100 {
		t.Errorf("covered %v", covered)
	}
	if first, second := handled.next(t), handled.next(t); first.Seq != 1 || second.Seq != 102 {
		t.Errorf("handled %d, then %d", first.Seq, second.Seq)
	}
	if left := len(handled.arrived); left != maxWaiting-1 {
		t.Errorf("%d handled after that", left)
	}
	if len(queue.byGroup) != 0 {
		t.Error("an idle lane was kept")
	}
}

// With an own server, as goroutines of the shared one come and go with other tests. Not parallel, for the same reason.
func TestRunLeavesNothingBehind(t *testing.T) {
	server := testenv.StartNATS(t)
	nc := testenv.Connect(t, server.URL)
	once := func() {
		handled, runs := newInbox[Beat](), newInbox[RunRequest]()
		follower, err := NewFollower(nc, FollowerConfig{}, func(ctx context.Context, beat Beat) error {
			_ = handled.take(ctx, beat)
			<-ctx.Done() // busy when the end comes
			return ctx.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		consumer, err := NewRunConsumer(nc, RunConsumerConfig{}, runs.take)
		if err != nil {
			t.Fatal(err)
		}
		stopFollower := running(t, follower.Run, follower.Started())
		stopConsumer := running(t, consumer.Run, consumer.Started())
		p := publisher(t, nc, "")
		mustPublish(t, p, Beat{Group: "default"})
		handled.next(t)
		if _, err := p.PublishRun(t.Context(), RunRequest{Group: "default", Flow: "orders"}); err != nil {
			t.Fatal(err)
		}
		runs.next(t)
		stopFollower()
		stopConsumer()
	}
	once() // what the client and the server start once and for all
	before := goleak.IgnoreCurrent()
	once()
	goleak.VerifyNone(t, before)
}

func TestAClosedConnectionEndsRunWithAnError(t *testing.T) {
	t.Parallel()
	url, prefix := testenv.NATSURL(t)
	nc := testenv.Connect(t, url)
	follower, err := NewFollower(nc, FollowerConfig{Prefix: prefix}, newInbox[Beat]().take)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- follower.Run(context.Background()) }()
	<-follower.Started()
	nc.Close()
	if err := <-done; err == nil {
		t.Error("no error")
	}
	if follower.Run(t.Context()) == nil {
		t.Error("Run ran twice")
	}
}

func TestFollowerSettingsAreValidatedByName(t *testing.T) {
	t.Parallel()
	nc, _ := testenv.NATS(t)
	take := newInbox[Beat]().take
	for name, cfg := range map[string]FollowerConfig{
		"groups[1]": {Groups: []string{"good", "Bad"}}, "watchdog": {Watchdog: -1}, "prefix": {Prefix: "a b"},
	} {
		if _, err := NewFollower(nc, cfg, take); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewFollower(nc, FollowerConfig{}, nil); err == nil {
		t.Error("no handler, and no error")
	}
	if _, err := NewFollower(nil, FollowerConfig{}, take); err == nil {
		t.Error("no connection, and no error")
	}
}

func TestBeatsAreMeasuredByABoundedNumberOfGroups(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics := newFollowMetrics(registry)
	for i := range maxGroupLabels + 50 {
		metrics.beat(fmt.Sprintf("g%d", i), time.Now().Add(-time.Minute))
	}
	if n := testutil.CollectAndCount(metrics.received); n != maxGroupLabels+1 {
		t.Errorf("%d labels", n)
	}
	if others := testutil.ToFloat64(metrics.received.WithLabelValues(metric.Other)); others != 50 {
		t.Errorf("%v beats of other groups", others)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "systole_beat_age_seconds" {
			continue
		}
		if n := len(family.GetMetric()); n != maxGroupLabels+1 {
			t.Errorf("%d ages", n)
		}
		if age := family.GetMetric()[0].GetGauge().GetValue(); age < 60 || age > 120 {
			t.Errorf("age %v", age)
		}
		return
	}
	t.Error("no ages")
}
