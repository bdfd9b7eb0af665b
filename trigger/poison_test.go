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
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/systole-run/systole/internal/testenv"
)

func newConsumer(t testing.TB, nc *nats.Conn, cfg RunConsumerConfig, handle func(context.Context, RunRequest) error) *RunConsumer {
	t.Helper()
	consumer, err := NewRunConsumer(nc, cfg, handle)
	if err != nil {
		t.Fatal(err)
	}
	return consumer
}

// takenAndLost delivers what is in the queue once, as far as cfg lets it, to a worker that is never heard of again.
func takenAndLost(t testing.TB, nc *nats.Conn, cfg RunConsumerConfig) {
	t.Helper()
	consumer, err := newConsumer(t, nc, cfg, newInbox[RunRequest]().take).consumer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	msg, err := consumer.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		t.Fatal(err)
	}
	if meta, err := msg.Metadata(); err != nil || meta.NumDelivered != uint64(cfg.MaxDeliver) {
		t.Fatal(meta, err)
	}
}

// onlyPoison checks that the dead are the one request, whose reason says what is wanted.
func onlyPoison(t testing.TB, nc *nats.Conn, subjects Subjects, reason string) {
	t.Helper()
	queueEmpty(t, nc, subjects)
	letters := deadLetters(t, nc, subjects, 1)
	if len(letters) != 1 {
		t.Fatalf("%d dead letters", len(letters))
	}
	letter := letters[0]
	if letter.Subject != subjects.Dead("run") || letter.Header.Get(HeaderKind) != faultPoison || string(letter.Data) != `{"day":1}` ||
		!strings.Contains(letter.Header.Get(HeaderReason), reason) || letter.Header.Get(HeaderSubject) != subjects.Run("default", "orders") {
		t.Errorf("%s with %v and %s", letter.Subject, letter.Header, letter.Data)
	}
}

func TestAPanicOfTheHandlerIsCaughtAndTheRequestDeliveredAgain(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	var calls atomic.Int32
	runs := newInbox[RunRequest]()
	consumer := consume(t, nc, RunConsumerConfig{Prefix: subjects.Prefix, RedeliverAfter: 10 * time.Millisecond}, func(ctx context.Context, run RunRequest) error {
		if calls.Add(1) == 1 {
			panic("a bug")
		}
		return runs.take(ctx, run)
	})
	send(t, nc, subjects.Run("default", "orders"), "")
	runs.next(t)
	queueEmpty(t, nc, subjects)
	if panicked := testutil.ToFloat64(consumer.outcomes.WithLabelValues("panicked")); panicked != 1 || calls.Load() != 2 {
		t.Errorf("panicked %v, calls %d", panicked, calls.Load())
	}
}

func TestARequestThatPanicsEachTimeEndsAmongTheDeadOnce(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	var calls atomic.Int32
	runs := newInbox[RunRequest]()
	for range 3 {
		consume(t, testenv.Connect(t, nc.ConnectedUrl()), RunConsumerConfig{
			Prefix: subjects.Prefix, RedeliverAfter: 10 * time.Millisecond, MaxDeliver: 3,
		}, func(ctx context.Context, run RunRequest) error {
			if run.Flow == "orders" {
				panic(fmt.Sprintf("call %d", calls.Add(1)))
			}
			return runs.take(ctx, run)
		})
	}
	send(t, nc, subjects.Run("default", "orders"), `{"day":1}`)
	onlyPoison(t, nc, subjects, "delivered 3 times: handler panicked: call 3")
	send(t, nc, subjects.Run("default", "users"), "")
	runs.next(t)
	if calls.Load() != 3 {
		t.Errorf("%d calls", calls.Load())
	}
}

// Only the advisory is listened to here, by three workers at once.
func TestWhatTheServerGivesUpOnEndsAmongTheDeadOnce(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	cfg := RunConsumerConfig{Prefix: subjects.Prefix, AckWait: time.Second, MaxDeliver: 1}
	var listeners []*RunConsumer
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 3)
	for range 3 {
		conn := testenv.Connect(t, nc.ConnectedUrl())
		listener := newConsumer(t, conn, cfg, newInbox[RunRequest]().take)
		advisories, err := conn.SubscribeSync(listener.advisorySubject())
		if err := errors.Join(err, conn.Flush()); err != nil {
			t.Fatal(err)
		}
		go func() { ended <- listener.hearAdvisories(ctx, advisories) }()
		listeners = append(listeners, listener)
	}
	send(t, nc, listeners[0].advisorySubject(), "no advisory")
	send(t, nc, listeners[0].advisorySubject(), `{"stream":"ANOTHER","consumer":"systole-workers","stream_seq":1}`)
	send(t, nc, subjects.Run("default", "orders"), `{"day":1}`)
	takenAndLost(t, nc, cfg)
	onlyPoison(t, nc, subjects, "delivered 1 times")
	buried := func() (sum float64) {
		for _, listener := range listeners {
			sum += testutil.ToFloat64(listener.outcomes.WithLabelValues("dead"))
		}
		return sum
	}
	until(t, "it is counted", func() bool { return buried() > 0 })
	cancel()
	for range listeners {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if sum := buried(); sum != 1 {
		t.Errorf("counted %v times", sum)
	}
	onlyPoison(t, nc, subjects, "delivered 1 times")
}

func TestWhatTheServerGaveUpOnWhileNobodyListenedIsFoundLater(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	cfg := RunConsumerConfig{Prefix: subjects.Prefix, AckWait: time.Second, MaxDeliver: 1}
	runs := newInbox[RunRequest]()
	advisories, err := nc.SubscribeSync(newConsumer(t, nc, cfg, runs.take).advisorySubject())
	if err != nil {
		t.Fatal(err)
	}
	send(t, nc, subjects.Run("default", "orders"), `{"day":1}`)
	takenAndLost(t, nc, cfg)
	if _, err := advisories.NextMsg(patience); err != nil {
		t.Fatal(err)
	}
	send(t, nc, subjects.Run("default", "users"), "")
	cfg.AckWait = patience // this one is acknowledged, however long that takes
	for range 2 {
		consumer := newConsumer(t, testenv.Connect(t, nc.ConnectedUrl()), cfg, runs.take)
		consumer.sweepEvery = 50 * time.Millisecond
		running(t, consumer.Run, consumer.Started())
	}
	if run := runs.next(t); run.Flow != "users" {
		t.Errorf("%+v", run)
	}
	onlyPoison(t, nc, subjects, "delivered 1 times")
	runs.empty(t)
}

// An outage of what the handler writes to may outlast all deliveries.
func TestARequestWhoseHandlerOnlyFailsIsKeptAfterItsLastDelivery(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	var back atomic.Bool
	runs := newInbox[RunRequest]()
	consumer := newConsumer(t, nc, RunConsumerConfig{Prefix: subjects.Prefix, AckWait: patience, MaxDeliver: 1, Concurrency: 1},
		func(ctx context.Context, run RunRequest) error {
			if run.Flow == "orders" && !back.Load() {
				return errors.New("Redis is away")
			}
			return runs.take(ctx, run)
		})
	consumer.holdEvery = 20 * time.Millisecond
	acks, err := nc.SubscribeSync("$JS.ACK." + subjects.RunStream() + ".>")
	if err := errors.Join(err, nc.Flush()); err != nil {
		t.Fatal(err)
	}
	running(t, consumer.Run, consumer.Started())
	send(t, nc, subjects.Run("default", "orders"), "")
	for range 3 { // each gives it AckWait once more
		if ack, err := acks.NextMsg(patience); err != nil || string(ack.Data) != "+WPI" {
			t.Fatal(ack, err)
		}
	}
	send(t, nc, subjects.Run("default", "users"), "")
	if run := runs.next(t); run.Flow != "users" {
		t.Errorf("%s before users", run.Flow)
	}
	back.Store(true)
	if run := runs.next(t); run.Flow != "orders" {
		t.Errorf("%s in place of orders", run.Flow)
	}
	queueEmpty(t, nc, subjects)
	if letters := deadLetters(t, nc, subjects, 0); len(letters) != 0 {
		t.Errorf("%d dead letters", len(letters))
	}
	if held := testutil.ToFloat64(consumer.outcomes.WithLabelValues("held")); held != 1 {
		t.Errorf("held %v times", held)
	}
}

// What the handler writes to does not answer at all, so that each call takes as long as it may.
func TestARequestWhoseHandlerHangsIsKeptAfterItsLastDelivery(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	var calls atomic.Int32
	runs := newInbox[RunRequest]()
	consume(t, nc, RunConsumerConfig{Prefix: subjects.Prefix, AckWait: time.Second, MaxDeliver: 1}, func(ctx context.Context, run RunRequest) error {
		if calls.Add(1) <= 4 {
			<-ctx.Done()
			return ctx.Err()
		}
		return runs.take(ctx, run)
	})
	send(t, nc, subjects.Run("default", "orders"), "")
	runs.next(t)
	queueEmpty(t, nc, subjects)
	if letters := deadLetters(t, nc, subjects, 0); len(letters) != 0 {
		t.Errorf("%d dead letters, the first: %v", len(letters), letters[0].Header)
	}
}

func TestARequestThatIsHeldByAWorkerThatEndsIsKeptAmongTheDead(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	cfg := RunConsumerConfig{Prefix: subjects.Prefix, AckWait: time.Second, MaxDeliver: 1}
	ending := newConsumer(t, nc, cfg, func(context.Context, RunRequest) error { return errors.New("Redis is away") })
	stop := running(t, ending.Run, ending.Started())
	send(t, nc, subjects.Run("default", "orders"), `{"day":1}`)
	until(t, "it is held", func() bool { return testutil.ToFloat64(ending.outcomes.WithLabelValues("held")) == 1 })
	consume(t, testenv.Connect(t, nc.ConnectedUrl()), cfg, newInbox[RunRequest]().take)
	stop()
	onlyPoison(t, nc, subjects, "delivered 1 times")
}
