package trigger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/singleflight"
)

// recreateDelay is how long a stream has to be gone before it is made anew. nats-server 2.15 leaves a stream behind that
// acknowledges nothing if it is made while the old one is still being deleted, which takes it some milliseconds.
const recreateDelay = 250 * time.Millisecond

// storer stores messages in our streams and makes streams anew that are gone. Safe for concurrent use.
type storer struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	streams StreamConfig
	timeout time.Duration
	metrics *publishMetrics
	ensured singleflight.Group
}

func newStorer(nc *nats.Conn, streams StreamConfig, timeout time.Duration, metrics *publishMetrics) (*storer, error) {
	if nc == nil {
		return nil, errors.New("connection: found nil, allowed is an open NATS connection")
	}
	if err := streams.Validate(); err != nil {
		return nil, fmt.Errorf("stream settings: %w", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if timeout == 0 {
		timeout = DefaultAckTimeout
	}
	return &storer{nc: nc, js: js, streams: streams, timeout: timeout, metrics: metrics}, nil
}

// store gives a PubAck, or ErrUnavailable with its cause.
func (s *storer) store(ctx context.Context, stream string, msg *nats.Msg) (*jetstream.PubAck, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	ack, err := s.attempt(ctx, stream, msg)
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		if err = s.ensure(ctx); err == nil {
			ack, err = s.attempt(ctx, stream, msg)
		}
	}
	s.metrics.observe(stream, ack, err, time.Since(start))
	if err != nil && !errors.Is(err, ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return ack, err
}

func (s *storer) attempt(ctx context.Context, stream string, msg *nats.Msg) (*jetstream.PubAck, error) {
	// While there is no connection the client would keep the message and send it some time after the caller has been
	// told that it failed.
	if !s.nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	return s.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(stream), jetstream.WithRetryAttempts(0))
}

// ensure makes missing streams, once for all callers that wait for it. One caller's end does not fail the others.
func (s *storer) ensure(ctx context.Context) error {
	done := s.ensured.DoChan("streams", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		if err := pause(ctx, recreateDelay); err != nil {
			return nil, err
		}
		return nil, EnsureStreams(ctx, s.js, s.streams)
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}
