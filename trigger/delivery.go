package trigger

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/logkey"
)

// settleTimeout bounds the confirmation of one delivery. It is granted also when the consumer is ending: a request that
// was handled is to be settled.
const settleTimeout = 5 * time.Second

// process handles one delivery and settles it. If the process dies anywhere in here, or the confirmation is lost, the
// request is delivered again after AckWait, and the handler finds that it has it already.
func (c *RunConsumer) process(ctx context.Context, msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil { // a message without metadata cannot be settled
		c.logger.Warn("run request without metadata ignored", logkey.Subject, quote(msg.Subject()), logkey.Error, err)
		return
	}
	m := stored{subject: msg.Subject(), seq: meta.Sequence.Stream, at: meta.Timestamp, header: msg.Headers(), data: msg.Data()}
	run, bad := c.subjects.runOf(m)
	if bad != nil {
		c.bury(ctx, msg, letter{m, *bad})
		return
	}
	err = c.call(ctx, run)
	if c.settle(ctx, msg, m, run, err) {
		return
	}
	last := meta.NumDelivered >= uint64(c.cfg.MaxDeliver)
	var panicked panicError
	switch {
	case errors.As(err, &panicked):
		c.outcomes.WithLabelValues("panicked").Inc()
		c.logger.Error("handler of run requests panicked", logkey.MessageID, run.ID, logkey.Group, run.Group, logkey.Flow, run.Flow,
			logkey.Attempt, meta.NumDelivered, logkey.Error, err, logkey.Stack, panicked.stack)
		if last {
			c.bury(ctx, msg, letter{m, fault{faultPoison, fmt.Errorf("delivered %d times: %w", meta.NumDelivered, err)}})
			return
		}
	case last && c.hold(ctx, msg, m, run):
		return
	default:
		c.logger.Warn("run request could not be handled, trying again", logkey.MessageID, run.ID, logkey.Group, run.Group, logkey.Flow, run.Flow,
			logkey.Attempt, meta.NumDelivered, logkey.Error, err)
	}
	c.giveBack(ctx, msg, meta.NumDelivered)
}

// settle ends a request that the handler is done with, one way or the other.
func (c *RunConsumer) settle(ctx context.Context, msg jetstream.Msg, m stored, run RunRequest, err error) (done bool) {
	switch {
	case err == nil:
		c.confirm(ctx, msg, run)
	case errors.Is(err, ErrRejected):
		c.bury(ctx, msg, letter{m, fault{faultRejected, err}})
	default:
		return false
	}
	return true
}

// panicError is what a handler panicked with.
type panicError struct {
	value any
	stack string
}

func (e panicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.value) }

// call gives the handler two thirds of AckWait, so that the request is settled before another worker gets it. A panic
// becomes a panicError.
func (c *RunConsumer) call(ctx context.Context, run RunRequest) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.AckWait*2/3,
		fmt.Errorf("run request not handled within %s", c.cfg.AckWait*2/3))
	defer cancel()
	defer func() {
		if value := recover(); value != nil {
			err = panicError{value, string(debug.Stack())}
		}
	}()
	return c.handle(WithTraceParent(ctx, run.TraceParent), run)
}

// confirm acknowledges and waits for the server to confirm that.
func (c *RunConsumer) confirm(ctx context.Context, msg jetstream.Msg, run RunRequest) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := msg.DoubleAck(ctx); err != nil {
		c.outcomes.WithLabelValues("unconfirmed").Inc()
		c.logger.Info("run request handled, its acknowledgement not confirmed; it may be delivered again", logkey.MessageID, run.ID,
			logkey.Group, run.Group, logkey.Flow, run.Flow, logkey.Error, err)
		return
	}
	c.outcomes.WithLabelValues("accepted").Inc()
}

// bury keeps a request among the dead and takes it off the queue, in this order: if the process dies in between, it is
// delivered again, and its copy among the dead has the same message id.
func (c *RunConsumer) bury(ctx context.Context, msg jetstream.Msg, bad letter) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if err := c.morgue.keep(ctx, bad); err != nil {
		c.giveBack(ctx, msg, 1)
		return
	}
	c.morgue.note(bad)
	c.outcomes.WithLabelValues("dead").Inc()
	if err := msg.TermWithReason(bad.reasonText()); err != nil {
		c.logger.Debug("dead run request not taken off the queue", logkey.Seq, bad.seq, logkey.Error, err)
	}
}

// giveBack asks for another delivery: after a growing wait, or at once and elsewhere if this consumer is ending.
func (c *RunConsumer) giveBack(ctx context.Context, msg jetstream.Msg, delivered uint64) {
	c.outcomes.WithLabelValues("retried").Inc()
	wait := spread(c.cfg.RedeliverAfter, redeliverMost, int(min(delivered, 16))-1)
	if ctx.Err() != nil {
		wait = time.Millisecond
	}
	if err := msg.NakWithDelay(wait); err != nil {
		c.logger.Debug("run request not given back; it is delivered again after AckWait", logkey.Error, err)
	}
}
