package trigger

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/logkey"
)

// maxHeld bounds the requests that one consumer keeps after their last delivery; it is as many as the server lets be
// under way at a time.
const maxHeld = 1000

// hold keeps a request whose last delivery has failed, and tries again every third of AckWait until the handler is done
// with it: what it writes to may be away for longer than the deliveries last. It takes no place from other requests,
// and goes on after it has returned. Where the consumer ends first, or the server hears nothing of it for AckWait, the
// request goes to the dead, where somebody can see it and ask for it again. False means that no more can be held.
func (c *RunConsumer) hold(ctx context.Context, msg jetstream.Msg, m stored, run RunRequest) bool {
	select {
	case c.holding <- struct{}{}:
	default:
		return false
	}
	c.outcomes.WithLabelValues("held").Inc()
	c.logger.Warn("run request could not be handled, and has had its last delivery; keeping it", logkey.MessageID, run.ID,
		logkey.Group, run.Group, logkey.Flow, run.Flow, logkey.Attempt, c.cfg.MaxDeliver)
	c.others.Go(func() {
		defer func() { <-c.holding }()
		// Both the wait and the call, which may take two thirds of AckWait, begin with a word to the server. If one does not arrive,
		// the next one may.
		inProgress := func() { _ = msg.InProgress() }
		for inProgress(); pause(ctx, c.holdEvery) == nil; inProgress() {
			inProgress()
			err := c.call(ctx, run)
			if errors.As(err, new(panicError)) {
				c.outcomes.WithLabelValues("panicked").Inc()
				c.bury(ctx, msg, letter{m, fault{faultPoison, err}})
				return
			}
			if c.settle(ctx, msg, m, run, err) {
				return
			}
		}
		c.giveBack(ctx, msg, 1)
	})
	return true
}
