package trigger

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// recreateDelay is how long a stream has to be gone before it is made anew. nats-server 2.15 leaves a stream behind that
// acknowledges nothing if it is made while the old one is still being deleted, which takes it some milliseconds.
const recreateDelay = 250 * time.Millisecond

// storer stores messages in our streams and makes streams anew that are gone. Safe for concurrent use.
type storer struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	streams  StreamConfig
	timeout  time.Duration
	patience time.Duration // for missing streams to be made
	metrics  *publishMetrics
	turn     chan struct{} // held while streams are made
	ensured  atomic.Int64  // how often that succeeded
	answered atomic.Bool   // whether ready has found its stream
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
	return &storer{nc: nc, js: js, streams: streams, timeout: timeout, patience: apiTimeout, metrics: metrics, turn: make(chan struct{}, 1)}, nil
}

// store gives a PubAck, or ErrUnavailable with its cause.
func (s *storer) store(ctx context.Context, stream string, msg *nats.Msg) (*jetstream.PubAck, error) {
	start := time.Now()
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

// errCodeOtherStream is what a stream answers to a message that is meant for another one.
const errCodeOtherStream jetstream.ErrorCode = 10060

// ready asks a stream to take a message that it has to refuse, as one that is meant for another: so nothing is stored, and who may
// publish may ask. Who makes no streams cannot tell a JetStream that is off from a stream that is not made yet, and takes silence for
// the latter until the stream has answered once.
func (s *storer) ready(ctx context.Context, stream, subject string) error {
	_, err := s.attempt(ctx, "-", nats.NewMsg(subject))
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == errCodeOtherStream {
		s.answered.Store(true)
		return nil
	}
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		switch {
		case s.streams.Foreign && s.answered.Load():
			return ErrNoStream
		case s.streams.Foreign:
			return nil
		}
		if _, err := s.js.Stream(ctx, stream); errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil // it is made with the first message
		}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (s *storer) attempt(ctx context.Context, stream string, msg *nats.Msg) (*jetstream.PubAck, error) {
	// While there is no connection the client would keep the message and send it some time after the caller has been
	// told that it failed.
	if !s.nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.js.PublishMsg(ctx, msg, jetstream.WithExpectStream(stream), jetstream.WithRetryAttempts(0))
}

// ensure makes missing streams, or gives ErrNoStream where they are foreign. Of many callers at once the first does it for
// all; if it fails, the next one tries. Nobody waits for longer than apiTimeout: with a cluster that has no leader, each
// attempt takes that long, and one request behind the other would not be answered any more.
func (s *storer) ensure(ctx context.Context) error {
	if s.streams.Foreign {
		return ErrNoStream
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	before := s.ensured.Load()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.ensured.Load() != before {
		return nil
	}
	if err := pause(ctx, recreateDelay); err != nil {
		return err
	}
	if err := EnsureStreams(ctx, s.js, s.streams); err != nil {
		return err
	}
	s.ensured.Add(1)
	return nil
}
