package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/trace"

	"github.com/systole-run/systole/internal/testenv"
)

func consume(t testing.TB, nc *nats.Conn, cfg RunConsumerConfig, handle func(context.Context, RunRequest) error) *RunConsumer {
	t.Helper()
	consumer, err := NewRunConsumer(nc, cfg, handle)
	if err != nil {
		t.Fatal(err)
	}
	running(t, consumer.Run, consumer.Started())
	return consumer
}

// queueEmpty waits until nothing is left in the work queue.
func queueEmpty(t testing.TB, nc *nats.Conn, subjects Subjects) {
	t.Helper()
	stream, err := jetStream(t, nc).Stream(t.Context(), subjects.RunStream())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the queue is empty", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
}

func TestARunRequestIsHandledByOneOfManyConsumersAndSettled(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	runs := newInbox[RunRequest]()
	for range 3 {
		consume(t, testenv.Connect(t, nc.ConnectedUrl()), RunConsumerConfig{Prefix: subjects.Prefix}, runs.take)
	}
	p := publisher(t, nc, subjects.Prefix)
	want := map[string]bool{}
	for i := range 60 {
		id := fmt.Sprintf("run-%d", i)
		want[id] = true
		if _, err := p.PublishRun(t.Context(), RunRequest{ID: id, Group: "default", Flow: "orders", Params: json.RawMessage(`{"day":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 60 {
		run := runs.next(t)
		if !want[run.ID] || run.Group != "default" || run.Flow != "orders" || string(run.Params) != `{"day":1}` || run.Seq == 0 || run.StoredAt.IsZero() {
			t.Fatalf("%+v", run)
		}
		delete(want, run.ID)
	}
	queueEmpty(t, nc, subjects)
	runs.empty(t)
}

func TestARunRequestFromAnyoneNeedsNoPayloadAndNoID(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	runs := newInbox[RunRequest]()
	traces := make(chan trace.TraceID, 1)
	consume(t, nc, RunConsumerConfig{Prefix: subjects.Prefix}, func(ctx context.Context, run RunRequest) error {
		traces <- trace.SpanContextFromContext(ctx).TraceID()
		return runs.take(ctx, run)
	})
	send(t, nc, subjects.Run("default", "orders"), "", "traceparent", exampleTrace)
	run := runs.next(t)
	if run.ID != assignedID(run.Seq, run.StoredAt) || len(run.Params) != 0 || run.TraceParent != exampleTrace {
		t.Errorf("%+v", run)
	}
	if id := <-traces; !strings.Contains(exampleTrace, id.String()) {
		t.Errorf("the handler's context has trace %s", id)
	}
}

// Who may only send heartbeats can name a run-now's subject as the one to answer to.
func TestTheAnswerToAHeartbeatIsNoRunRequest(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	runs := newInbox[RunRequest]()
	consume(t, nc, RunConsumerConfig{Prefix: subjects.Prefix}, runs.take)
	beat := nats.NewMsg(subjects.Beat("default"))
	beat.Reply = subjects.Run("default", "orders")
	for i, header := range []string{"", "another-stream"} { // the second is refused, which is an answer, too
		if header != "" {
			beat.Header.Set(jetstream.ExpectedStreamHeader, header)
		}
		if err := nc.PublishMsg(beat); err != nil {
			t.Fatal(err)
		}
		letter := deadLetters(t, nc, subjects, i+1)[i]
		if letter.Subject != subjects.Dead("run") || letter.Header.Get(HeaderKind) != faultBody || !strings.Contains(letter.Header.Get(HeaderReason), "acknowledgement") {
			t.Errorf("%q: %s with %v", header, letter.Subject, letter.Header)
		}
	}
	send(t, nc, subjects.Run("default", "orders"), `{"stream":"s","seq":1}`)
	if run := runs.next(t); string(run.Params) != `{"stream":"s","seq":1}` {
		t.Errorf("%+v", run)
	}
}

func TestARunRequestIsDeliveredAgainAfterAnError(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	var attempts atomic.Int32
	runs := newInbox[RunRequest]()
	consumer := consume(t, nc, RunConsumerConfig{Prefix: subjects.Prefix}, func(ctx context.Context, run RunRequest) error {
		if attempts.Add(1) == 1 {
			return errors.New("Redis is away")
		}
		return runs.take(ctx, run)
	})
	send(t, nc, subjects.Run("default", "orders"), "")
	runs.next(t)
	queueEmpty(t, nc, subjects)
	if retried := testutil.ToFloat64(consumer.outcomes.WithLabelValues("retried")); retried != 1 || attempts.Load() != 2 {
		t.Errorf("retried %v, attempts %d", retried, attempts.Load())
	}
}

// A worker that dies between the handler and its acknowledgement is one that never acknowledges.
func TestARunRequestOfADeadWorkerGoesToAnother(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	doomed := testenv.Connect(t, nc.ConnectedUrl())
	reached := make(chan struct{})
	consumer, err := NewRunConsumer(doomed, RunConsumerConfig{Prefix: subjects.Prefix, AckWait: time.Second}, func(context.Context, RunRequest) error {
		doomed.Close()
		close(reached)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- consumer.Run(context.Background()) }()
	send(t, nc, subjects.Run("default", "orders"), "", "Nats-Msg-Id", "once")
	<-reached
	if err := <-done; !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("Run: %v", err)
	}
	runs := newInbox[RunRequest]()
	consume(t, nc, RunConsumerConfig{Prefix: subjects.Prefix, AckWait: time.Second}, runs.take)
	if run := runs.next(t); run.ID != "once" {
		t.Errorf("%+v", run)
	}
}

func TestAPoisonousRunRequestEndsAmongTheDead(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	runs := newInbox[RunRequest]()
	consume(t, nc, RunConsumerConfig{Prefix: subjects.Prefix}, func(ctx context.Context, run RunRequest) error {
		if run.Flow == "unknown" {
			return fmt.Errorf("%w: no flow is called unknown", ErrRejected)
		}
		return runs.take(ctx, run)
	})
	poison := []struct{ subject, payload, kind, reason string }{
		{subjects.Run("default", "unknown"), "", faultRejected, "no flow is called unknown"},
		{subjects.Run("default", "orders"), "[]", faultBody, "params"},
		{subjects.Run("default", "orders"), `{"a":1,"a":2}`, faultBody, "params"},
		{subjects.Run("default", "orders"), strings.Repeat("x", 1<<20), faultOversized, "1048576 bytes"},
		{subjects.Run("default", "UPPER"), "", faultSubject, "UPPER"},
		{subjects.Run("default", "a.b"), "", faultSubject, "a.b"},
	}
	for i, bad := range poison {
		send(t, nc, bad.subject, bad.payload)
		letters := deadLetters(t, nc, subjects, i+1)
		letter := letters[i]
		if letter.Subject != subjects.Dead("run") || letter.Header.Get(HeaderKind) != bad.kind ||
			!strings.Contains(letter.Header.Get(HeaderReason), bad.reason) || letter.Header.Get(HeaderSubject) != bad.subject {
			t.Errorf("%s with %v", letter.Subject, letter.Header)
		}
	}
	send(t, nc, subjects.Run("default", "orders"), "{}")
	runs.next(t)
	queueEmpty(t, nc, subjects)
	runs.empty(t)
	if letters := deadLetters(t, nc, subjects, len(poison)); len(letters) != len(poison) {
		t.Errorf("%d dead letters", len(letters))
	}
}

func TestARecreatedQueueDoesNotMakeAConsumerDeaf(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	runs := newInbox[RunRequest]()
	consume(t, nc, RunConsumerConfig{Prefix: subjects.Prefix}, runs.take)
	p := publisher(t, nc, subjects.Prefix)
	for range 3 {
		if _, err := p.PublishRun(t.Context(), RunRequest{Group: "default", Flow: "orders"}); err != nil {
			t.Fatal(err)
		}
		if run := runs.next(t); run.Seq != 1 {
			t.Errorf("%+v", run)
		}
		if err := jetStream(t, nc).DeleteStream(t.Context(), subjects.RunStream()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAConsumerSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]bool{"with its streams": true, "that lost everything": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartNATS(t)
			runs := newInbox[RunRequest]()
			consume(t, testenv.Connect(t, server.URL), RunConsumerConfig{}, runs.take)
			p := publisher(t, testenv.Connect(t, server.URL), "")
			server.Restart(t, keep)
			until(t, "a request is stored", func() bool {
				_, err := p.PublishRun(t.Context(), RunRequest{ID: "after", Group: "default", Flow: "orders"})
				return err == nil
			})
			if run := runs.next(t); run.ID != "after" {
				t.Errorf("%+v", run)
			}
		})
	}
}

func TestRunConsumerSettingsAreValidatedByName(t *testing.T) {
	t.Parallel()
	nc, _ := testenv.NATS(t)
	take := newInbox[RunRequest]().take
	for name, cfg := range map[string]RunConsumerConfig{
		"ack_wait": {AckWait: time.Millisecond}, "concurrency": {Concurrency: -1}, "prefix": {Prefix: "a b"},
		"redeliver_after": {RedeliverAfter: time.Hour}, "max_deliver": {MaxDeliver: -1},
	} {
		if _, err := NewRunConsumer(nc, cfg, take); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewRunConsumer(nc, RunConsumerConfig{}, nil); err == nil {
		t.Error("no handler, and no error")
	}
}
