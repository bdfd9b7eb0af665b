package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/logkey"
)

// What the server delivers no more stays in the work queue until it is too old. It says so once, in an advisory that
// nobody may hear, as when the request took down the only worker; so a consumer also looks for such requests now and
// then. Every worker that hears of one keeps it among the dead, under the same message id, and one of them takes
// it out of the queue.

const (
	maxSwept   = 1000            // requests of one sweep; the next one goes on
	sweepEvery = time.Minute     // between two looks
	sweepDelay = 2 * time.Second // within which an acknowledged request is out of the queue
)

// advisory is what of the server's word is needed here.
type advisory struct {
	Time       time.Time `json:"timestamp"`
	Stream     string    `json:"stream"`
	Consumer   string    `json:"consumer"`
	Seq        uint64    `json:"stream_seq"`
	Deliveries uint64    `json:"deliveries"`
}

func (c *RunConsumer) advisorySubject() string {
	return "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + c.subjects.RunStream() + "." + RunConsumerName
}

// hearAdvisories buries what the server gives up on, until ctx ends. The error is that of a closed connection; where
// the server refuses the subscription, the sweeps are left.
func (c *RunConsumer) hearAdvisories(ctx context.Context, subscription *nats.Subscription) error {
	for {
		msg, err := subscription.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer):
			continue
		case c.store.nc.IsClosed():
			return fmt.Errorf("consume run requests: %w", nats.ErrConnectionClosed)
		case err != nil:
			c.logger.Warn("not told of run requests that are delivered no more; looking for them now and then", logkey.Error, err)
			return nil
		}
		var about advisory
		if err := json.Unmarshal(msg.Data, &about); err == nil && about.Stream == c.subjects.RunStream() && about.Consumer == RunConsumerName {
			c.exhausted(ctx, about)
		}
	}
}

// keepSweeping looks for what the advisories did not tell, until ctx ends.
func (c *RunConsumer) keepSweeping(ctx context.Context) {
	for {
		if settled, err := c.settledUpTo(ctx); err == nil { // else there is no consumer, or no server
			c.sweep(ctx, settled)
		}
		if pause(ctx, c.sweepEvery) != nil {
			return
		}
	}
}

// settledUpTo gives the sequence up to which the server waits for no acknowledgement and has nothing left to deliver.
func (c *RunConsumer) settledUpTo(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	consumer, err := c.store.js.Consumer(ctx, c.subjects.RunStream(), RunConsumerName)
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo()
	if info.NumAckPending == 0 {
		return max(info.AckFloor.Stream, info.Delivered.Stream), nil
	}
	return info.AckFloor.Stream, nil
}

// sweep looks for requests up to a sequence up to which all were settled: what is still there is delivered no more.
func (c *RunConsumer) sweep(ctx context.Context, settled uint64) {
	var found []advisory
	for from := uint64(1); from <= settled && len(found) < maxSwept; {
		m, seq, err := readStored(ctx, c.store.nc, c.subjects.RunStream(), map[string]any{"seq": from, "next_by_subj": c.subjects.runs()})
		if seq == 0 && err != nil || seq > settled {
			break
		}
		found = append(found, advisory{Time: m.at, Seq: seq, Deliveries: uint64(c.cfg.MaxDeliver)})
		from = seq + 1
	}
	// An acknowledged request is taken out of the queue a moment later.
	if len(found) == 0 || pause(ctx, sweepDelay) != nil {
		return
	}
	for _, about := range found {
		c.exhausted(ctx, about)
	}
}

// exhausted keeps a request among the dead, then takes it off the queue.
func (c *RunConsumer) exhausted(ctx context.Context, about advisory) {
	m, seq, err := readStored(ctx, c.store.nc, c.subjects.RunStream(), map[string]any{"seq": about.Seq})
	if seq == 0 || m.at.After(about.Time) { // taken away by another worker, or of a stream that was made anew since
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			c.logger.Warn("run request that is delivered no more cannot be read", logkey.Seq, about.Seq, logkey.Error, err)
		}
		return
	}
	bad := letter{m, fault{faultPoison, fmt.Errorf(
		"delivered %d times and not settled: its handler panicked, or the worker that had it ended", about.Deliveries)}}
	if err := c.morgue.persist(ctx, bad); err != nil {
		c.logger.Warn("run request that is delivered no more stays in the queue", logkey.Seq, seq, logkey.Error, err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := c.store.js.Stream(ctx, c.subjects.RunStream())
	if err == nil {
		err = stream.DeleteMsg(ctx, seq)
	}
	if err != nil { // another worker was quicker
		c.logger.Debug("dead run request not taken off the queue", logkey.Seq, seq, logkey.Error, err)
		return
	}
	c.morgue.note(bad)
	c.outcomes.WithLabelValues("dead").Inc()
}
