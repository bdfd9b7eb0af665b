package admin

import (
	"context"
	"time"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/trigger"
)

// Teller publishes events. A Waker may be one, too. What an event tells of has happened whether or not it arrives.
type Teller interface {
	Publish(event trigger.Event) error
}

// flowEvent is the data of the events flow.*.
type flowEvent struct {
	Flow   string `json:"flow"`
	Reason string `json:"reason,omitempty"`
}

// tell publishes what was done through the API.
func (a *API) tell(ctx context.Context, kind, group, subject string, data any) {
	events, ok := a.wake.(Teller)
	if !ok {
		return
	}
	if err := events.Publish(trigger.Event{Group: group, Kind: kind, Subject: subject, Time: time.Now(), Data: data}); err != nil {
		a.cfg.Logger.DebugContext(ctx, "event not published", logkey.Kind, kind, logkey.Group, group, logkey.Error, err)
	}
}
