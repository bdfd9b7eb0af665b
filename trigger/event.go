package trigger

import (
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
)

const (
	eventContentType = "application/cloudevents+json"
	eventTypePrefix  = "run.systole."
	flushTimeout     = 5 * time.Second
)

// Event is something that happened, for whoever listens, and for whoever reads the stream of events later. It is
// CloudEvents 1.0 on the wire; nothing of ours depends on its arrival.
type Event struct {
	ID          string    // unique; a UUIDv7 if empty
	Group       string    // whose event it is
	Kind        string    // one of EventKinds
	Subject     string    // what it is about, such as a run or beat id; may be empty
	Time        time.Time // when it happened; now if zero
	Data        any       // encoded as JSON; nil for none
	TraceParent string    // W3C traceparent; empty if there is none
}

// Events publishes events and hints, and watches for beats to settle. Safe for concurrent use.
type Events struct {
	nc       *nats.Conn
	subjects Subjects
}

// NewEvents makes the events of the deployment with that prefix, DefaultPrefix if it is empty. The connection stays the
// caller's.
func NewEvents(nc *nats.Conn, prefix string) (*Events, error) {
	subjects := Subjects{Prefix: prefix}
	if nc == nil {
		return nil, errors.New("connection: found nil, allowed is an open NATS connection")
	}
	if err := subjects.validate(); err != nil {
		return nil, err
	}
	return &Events{nc: nc, subjects: subjects}, nil
}

// Publish sends an event to whoever listens, without waiting for anyone to have it. The stream of events keeps it, if
// there is one at that moment; nobody confirms that.
func (e *Events) Publish(event Event) error {
	if err := event.validate(); err != nil {
		return fmt.Errorf("publish event: %w", err)
	}
	envelope, err := event.cloudEvent()
	if err != nil {
		return fmt.Errorf("publish event %s: %w", event.Kind, err)
	}
	msg := nats.NewMsg(e.subjects.Event(event.Group, event.Kind))
	msg.Header.Set("content-type", eventContentType)
	if trace := validTraceParent(event.TraceParent); trace != "" {
		msg.Header.Set(headerTrace, trace)
	}
	if msg.Data, err = envelope.MarshalJSON(); err != nil {
		return fmt.Errorf("encode event %s: %w", event.Kind, err)
	}
	if err := e.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("publish event %s: %w: %w", event.Kind, ErrUnavailable, err)
	}
	return nil
}

func (event Event) validate() error {
	var invalid InvalidError
	if !ValidName(event.Group) {
		invalid.add("group", quote(event.Group), nameAllowed)
	}
	if !kindPattern.MatchString(event.Kind) {
		invalid.add("kind", quote(event.Kind), "two words joined by a dot, such as "+EventBeatSettled)
	}
	return invalid.orNil()
}

func (event Event) cloudEvent() (cloudevents.Event, error) {
	envelope := cloudevents.New(cloudevents.CloudEventsVersionV1)
	if event.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return envelope, fmt.Errorf("make event id: %w", err)
		}
		event.ID = id.String()
	}
	if event.Time.IsZero() {
		event.Time = time.Now()
	}
	envelope.SetID(event.ID)
	envelope.SetSource("/systole/" + event.Group)
	envelope.SetType(eventTypePrefix + event.Kind)
	envelope.SetTime(event.Time)
	if event.Subject != "" {
		envelope.SetSubject(event.Subject)
	}
	if trace := validTraceParent(event.TraceParent); trace != "" {
		envelope.SetExtension(headerTrace, trace)
	}
	if event.Data != nil {
		if err := envelope.SetData(cloudevents.ApplicationJSON, event.Data); err != nil {
			return envelope, fmt.Errorf("encode data: %w", err)
		}
	}
	return envelope, envelope.Validate()
}
