package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultAckTimeout is how long a publisher waits for JetStream where nothing else is configured.
const DefaultAckTimeout = 5 * time.Second

// ErrUnavailable says that JetStream did not acknowledge in time. The message may or may not be stored; publishing it
// again with the same id is safe.
var ErrUnavailable = errors.New("NATS JetStream is unavailable")

// Ack is JetStream's word that a message is stored.
type Ack struct {
	ID        string // message id under which it was stored
	Duplicate bool   // a message with this id was stored before; this one was dropped
	Seq       uint64 // its sequence in the stream
}

// PublisherConfig configures a Publisher. The zero value is fit for use.
type PublisherConfig struct {
	Streams    StreamConfig
	AckTimeout time.Duration         // for one attempt; DefaultAckTimeout
	Registerer prometheus.Registerer // nil: no metrics
}

// Publisher publishes beats and run requests, and gives back only what is stored. Safe for concurrent use.
type Publisher struct {
	subjects Subjects
	store    *storer
}

// NewPublisher makes a publisher on a connection, which stays the caller's. It does not talk to the server yet.
func NewPublisher(nc *nats.Conn, cfg PublisherConfig) (*Publisher, error) {
	if cfg.AckTimeout < 0 {
		return nil, fmt.Errorf("ack_timeout: found %s, allowed is a duration above 0", cfg.AckTimeout)
	}
	store, err := newStorer(nc, cfg.Streams, cfg.AckTimeout, newPublishMetrics(cfg.Registerer))
	if err != nil {
		return nil, err
	}
	return &Publisher{subjects: Subjects{Prefix: cfg.Streams.Prefix}, store: store}, nil
}

// PublishBeat stores a beat, under a new id if it has none. It gives an InvalidError for a beat that followers would
// refuse, and ErrUnavailable where JetStream does not acknowledge. A stream that is gone is made anew, unless it is foreign,
// and the beat is published once more under the same id.
func (p *Publisher) PublishBeat(ctx context.Context, beat Beat) (Ack, error) {
	if err := beat.Validate(); err != nil {
		return Ack{}, fmt.Errorf("publish beat: %w", err)
	}
	payload, err := beat.payload()
	if err != nil {
		return Ack{}, err
	}
	return p.publish(ctx, p.subjects.BeatStream(), p.subjects.Beat(beat.Group), beat.ID, beat.TraceParent, "", payload)
}

// PublishRun stores a request to run a flow now, as PublishBeat stores a beat.
func (p *Publisher) PublishRun(ctx context.Context, run RunRequest) (Ack, error) {
	if err := run.Validate(); err != nil {
		return Ack{}, fmt.Errorf("publish run: %w", err)
	}
	return p.publish(ctx, p.subjects.RunStream(), p.subjects.Run(run.Group, run.Flow), run.ID, run.TraceParent, run.Signed, run.Params)
}

// Ready reports whether JetStream would take a beat now: ErrUnavailable if it does not answer, as where it has been turned off, and
// ErrNoStream where the stream of beats is gone that somebody else makes. One that was never there is yet to be made, which is no error.
func (p *Publisher) Ready(ctx context.Context) error {
	return p.store.ready(ctx, p.subjects.BeatStream(), p.subjects.Beat("-"))
}

func (p *Publisher) publish(ctx context.Context, stream, subject, id, trace, signed string, payload json.RawMessage) (Ack, error) {
	if id == "" {
		unique, err := uuid.NewV7()
		if err != nil {
			return Ack{}, fmt.Errorf("make message id: %w", err)
		}
		id = unique.String()
	}
	if trace = validTraceParent(trace); trace == "" {
		trace = TraceParent(ctx)
	}
	msg := nats.NewMsg(subject)
	msg.Data = payload
	msg.Header.Set(headerMessageID, id)
	if trace != "" {
		msg.Header.Set(headerTrace, trace)
	}
	if signed != "" {
		msg.Header.Set(headerSigned, signed)
	}
	ack, err := p.store.store(ctx, stream, msg)
	if err != nil {
		return Ack{}, fmt.Errorf("publish to %s: %w", subject, err)
	}
	return Ack{ID: id, Duplicate: ack.Duplicate, Seq: ack.Sequence}, nil
}
