package trigger

import (
	"context"
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
)

// maxBuffered bounds the events that wait to be read by one watch; the oldest are read first, newer ones are dropped.
const maxBuffered = 8192

// Settled is what came of a beat, once every run that it led to has ended.
type Settled struct {
	BeatID         string    `json:"beat_id"`
	Group          string    `json:"group"`
	FlowsDue       int       `json:"flows_due"`
	FlowsTriggered int       `json:"flows_triggered"`
	Succeeded      int       `json:"succeeded"`
	Failed         int       `json:"failed"`
	Timestamp      time.Time `json:"timestamp"`
}

// SettledWatch waits for beats of one group to settle. One goroutine uses it.
type SettledWatch struct {
	subscription *nats.Subscription
	arrived      map[string]Settled // settled beats that nobody has asked for yet
}

// WatchSettled subscribes to the settled beats of a group. When it returns, the server knows the subscription, so
// that no beat published after that can settle unseen; until Wait is called, events are buffered.
func (e *Events) WatchSettled(group string) (*SettledWatch, error) {
	if !ValidName(group) {
		return nil, fmt.Errorf("watch settled beats: %w", InvalidError{{Field: "group", Found: quote(group), Allowed: nameAllowed}})
	}
	if !e.nc.IsConnected() {
		return nil, fmt.Errorf("watch settled beats: %w: %w", ErrUnavailable, nats.ErrDisconnected)
	}
	subscription, err := e.nc.SubscribeSync(e.subjects.Event(group, EventBeatSettled))
	if err != nil {
		return nil, fmt.Errorf("watch settled beats: %w: %w", ErrUnavailable, err)
	}
	watch := &SettledWatch{subscription: subscription, arrived: make(map[string]Settled)}
	if err := errors.Join(subscription.SetPendingLimits(maxBuffered, -1), e.nc.FlushTimeout(flushTimeout)); err != nil {
		watch.Close()
		return nil, fmt.Errorf("watch settled beats: %w: %w", ErrUnavailable, err)
	}
	return watch, nil
}

// Wait blocks until the beat has settled, or ctx ends and gives its error. The event of a beat that settled while the
// connection was gone never comes.
func (w *SettledWatch) Wait(ctx context.Context, beatID string) (Settled, error) {
	for {
		if settled, ok := w.arrived[beatID]; ok {
			delete(w.arrived, beatID)
			return settled, nil
		}
		msg, err := w.subscription.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrSlowConsumer):
			continue // some were dropped; ours may still come
		case err != nil:
			return Settled{}, fmt.Errorf("wait for beat %s to settle: %w", beatID, err)
		}
		if settled, ok := readSettled(msg.Data); ok && len(w.arrived) < maxBuffered {
			w.arrived[settled.BeatID] = settled
		}
	}
}

// Close ends the subscription.
func (w *SettledWatch) Close() { _ = w.subscription.Unsubscribe() }

// readSettled reads the data of an event; ok is false for what is not the event of a settled beat.
func readSettled(data []byte) (settled Settled, ok bool) {
	var envelope cloudevents.Event
	if err := envelope.UnmarshalJSON(data); err != nil || envelope.Type() != eventTypePrefix+EventBeatSettled {
		return Settled{}, false
	}
	return settled, envelope.DataAs(&settled) == nil && settled.BeatID != ""
}
