package trigger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/logkey"
)

// watch reads the register at the start, when the connection is back, when messages were dropped, and now and then.
// It starts nothing of its own: it finds beats that came in from outside and did not reach the subscription.
func (f *Follower) watch(ctx context.Context, status <-chan nats.Status) error {
	for attempt := 0; ; attempt++ {
		wait := backoff(attempt)
		err := f.catchUp(ctx)
		if err != nil {
			f.current.Store(false) // what does not reach the subscription is not found either
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			attempt, wait = -1, f.cfg.Watchdog
		case f.nc.IsConnected() && !errors.Is(err, nats.ErrDisconnected):
			f.logger.Warn("register of heartbeats cannot be read, trying again", logkey.Attempt, attempt+1, logkey.Error, err)
		}
		if err := f.untilLook(ctx, status, wait); err != nil {
			return err
		}
	}
}

// catchUp hands over the beats that are in the register and were not seen.
func (f *Follower) catchUp(ctx context.Context) error {
	// The subscription has to stand before the register is read; a beat in between would reach neither.
	flush, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if !f.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	if err := f.nc.FlushWithContext(flush); err != nil {
		return fmt.Errorf("flush subscriptions: %w", err)
	}
	if err := f.register.unread(ctx, func(m stored, err error) { f.offer(ctx, m, err) }); err != nil {
		return err
	}
	f.current.Store(true)
	f.once.Do(func() { close(f.started) })
	f.settleStreams(ctx)
	f.checkEvents(ctx)
	return nil
}

// settleStreams gives streams that are there already what the settings say of them, once. It takes nothing from the beats
// if that fails: only a stream that is in nobody's way is changed.
func (f *Follower) settleStreams(ctx context.Context) {
	if f.settled || f.cfg.Streams.Foreign {
		return
	}
	err := f.register.store.ensure(ctx)
	if f.settled = err == nil || errors.Is(err, ErrStreamConflict); err != nil && ctx.Err() == nil && f.nc.IsConnected() {
		f.logger.Warn("streams are not what the settings say", logkey.Error, err)
	}
}

func (f *Follower) untilLook(ctx context.Context, status <-chan nats.Status, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-f.look:
	case now, ok := <-status:
		if !ok || now == nats.CLOSED {
			return fmt.Errorf("follow heartbeats: %w", nats.ErrConnectionClosed)
		}
		f.current.Store(false) // what came in while the connection was gone is not read yet
	}
	return nil
}

func (f *Follower) askForLook() {
	select {
	case f.look <- struct{}{}:
	default:
	}
}

// forget takes a bad message out of the register, once it is kept among the dead.
func (f *Follower) forget(ctx context.Context, bad letter) {
	if bad.seq == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultAckTimeout)
	defer cancel()
	if err := f.register.drop(ctx, bad.stored); err != nil {
		f.logger.Debug("bad message not removed from the register", logkey.Seq, bad.seq, logkey.Error, err)
	}
}

// checkEvents makes the stream of events anew if it is gone: nobody else notices, as no event is confirmed. It takes
// nothing from the beats if that fails.
func (f *Follower) checkEvents(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	_, err := f.register.store.js.Stream(ctx, f.subjects.EventStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = f.register.store.ensure(ctx)
	}
	if err != nil && ctx.Err() == nil && f.nc.IsConnected() {
		f.logger.Warn("events are not kept for those who do not listen", logkey.Error, err)
	}
}
