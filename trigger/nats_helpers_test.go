package trigger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
)

// patience bounds every wait of these tests, on the busiest of machines.
const patience = 2 * time.Minute

// ackPatience is that of publishers: some tests take the server away while an acknowledgement is on its way, and publish again.
const ackPatience = patience / 4

// inbox collects what a handler was given.
type inbox[T any] struct{ arrived chan T }

func newInbox[T any]() inbox[T] { return inbox[T]{make(chan T, 4096)} }

func (b inbox[T]) take(_ context.Context, item T) error {
	b.arrived <- item
	return nil
}

func (b inbox[T]) next(t testing.TB) T {
	t.Helper()
	select {
	case item := <-b.arrived:
		return item
	case <-time.After(patience):
		t.Fatal("nothing arrived")
		panic("unreachable")
	}
}

func (b inbox[T]) empty(t testing.TB) {
	t.Helper()
	select {
	case item := <-b.arrived:
		t.Fatalf("arrived, and should not have: %+v", item)
	default:
	}
}

// until polls, as there is no signal for what a server does.
func until(t testing.TB, what string, reached func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !reached() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// running starts something with a Run and gives a function that ends it and checks that it ended well.
func running(t testing.TB, run func(context.Context) error, started <-chan struct{}) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not return")
		}
	})
	t.Cleanup(stop)
	select {
	case <-started:
	case <-time.After(patience):
		t.Fatal("Run did not start")
	}
	return stop
}

// follow runs a follower and gives what it hands over.
func follow(t testing.TB, nc *nats.Conn, cfg FollowerConfig) (*Follower, inbox[Beat]) {
	t.Helper()
	beats := newInbox[Beat]()
	follower, err := NewFollower(nc, cfg, beats.take)
	if err != nil {
		t.Fatal(err)
	}
	running(t, follower.Run, follower.Started())
	return follower, beats
}

func publisher(t testing.TB, nc *nats.Conn, prefix string) *Publisher {
	t.Helper()
	p, err := NewPublisher(nc, PublisherConfig{Streams: StreamConfig{Prefix: prefix}, AckTimeout: ackPatience})
	if err != nil {
		t.Fatal(err)
	}
	p.store.patience = ackPatience
	return p
}

func mustPublish(t testing.TB, p *Publisher, beat Beat) Ack {
	t.Helper()
	ack, err := p.PublishBeat(t.Context(), beat)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

// publishUntilStored publishes as a sender does that is told to try again later: with one message id.
func publishUntilStored(t testing.TB, p *Publisher, beat Beat) (ack Ack) {
	t.Helper()
	beat.ID = testenv.UniqueName("beat-")
	until(t, "the beat is stored", func() (stored bool) {
		var err error
		if ack, err = p.PublishBeat(t.Context(), beat); err != nil && !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	return ack
}

// natsWithStreams gives a connection to the shared server, and a prefix whose streams exist.
func natsWithStreams(t testing.TB) (*nats.Conn, Subjects) {
	t.Helper()
	nc, prefix := testenv.NATS(t)
	ensured(t, nc, StreamConfig{Prefix: prefix})
	return nc, Subjects{Prefix: prefix}
}

func ensured(t testing.TB, nc *nats.Conn, cfg StreamConfig) jetstream.JetStream {
	t.Helper()
	js := jetStream(t, nc)
	if err := EnsureStreams(t.Context(), js, cfg); err != nil {
		t.Fatal(err)
	}
	return js
}

func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(ackPatience))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func send(t testing.TB, nc *nats.Conn, subject, payload string, headers ...string) {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(payload)
	for i := 0; i+1 < len(headers); i += 2 {
		msg.Header.Add(headers[i], headers[i+1])
	}
	if err := errors.Join(nc.PublishMsg(msg), nc.Flush()); err != nil {
		t.Fatal(err)
	}
}

// deadLetters waits until the stream of the dead holds n messages, and gives them.
func deadLetters(t testing.TB, nc *nats.Conn, subjects Subjects, n int) []*jetstream.RawStreamMsg {
	t.Helper()
	stream, err := jetStream(t, nc).Stream(t.Context(), subjects.DeadStream())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the bad messages are kept", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs >= uint64(n)
	})
	var letters []*jetstream.RawStreamMsg
	for seq := range stream.CachedInfo().State.LastSeq {
		msg, err := stream.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, msg)
	}
	return letters
}

// rawPublish speaks the protocol itself, as no client lets broken headers pass.
func rawPublish(t testing.TB, url, subject, header, payload string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n",
		subject, len(header), len(header)+len(payload), header, payload)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if lines.Text() == "PONG" {
			return
		}
	}
	t.Fatal("no PONG")
}
