package trigger

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of RunConsumerConfig.
const (
	DefaultAckWait        = 30 * time.Second
	DefaultConcurrency    = 16
	DefaultRedeliverAfter = time.Second

	// DefaultMaxDeliver lets half a day of restarts and failures pass at a wait of up to a minute each, and ends a request
	// that takes a worker down every AckWait after a night. An outage of what the handler writes to does not end a request
	// however long it lasts: see RunConsumerConfig.MaxDeliver.
	DefaultMaxDeliver = 1000
)

// RunConsumerConfig configures a RunConsumer. The zero value is fit for use.
type RunConsumerConfig struct {
	Prefix      string        // of all subjects; DefaultPrefix
	Streams     StreamConfig  // how streams that are gone are made anew; its Prefix is Prefix
	AckWait     time.Duration // after which a request goes to another worker, 1s or more; DefaultAckWait
	Concurrency int           // requests handled at the same time, 1 to 256; DefaultConcurrency

	// RedeliverAfter is the wait before a request that failed is delivered again; it doubles up to a minute. 10ms to 1m;
	// DefaultRedeliverAfter.
	RedeliverAfter time.Duration

	// MaxDeliver is how often a request is delivered at most, 1 or more; DefaultMaxDeliver. It ends requests that are
	// poison: one whose handler panics, or takes its worker down, ends among the dead after that many deliveries. One whose
	// handler only gives errors does not: the worker that got the last delivery keeps it and tries again until the handler
	// is done with it.
	MaxDeliver int

	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: no metrics
}

// Validate reports every field that is out of bounds.
func (c RunConsumerConfig) Validate() error {
	var invalid InvalidError
	if c.AckWait != 0 && c.AckWait < time.Second {
		invalid.add("ack_wait", c.AckWait.String(), "1s or more")
	}
	if c.Concurrency < 0 || c.Concurrency > 256 {
		invalid.add("concurrency", fmt.Sprint(c.Concurrency), "1 to 256")
	}
	if c.RedeliverAfter != 0 && (c.RedeliverAfter < 10*time.Millisecond || c.RedeliverAfter > redeliverMost) {
		invalid.add("redeliver_after", c.RedeliverAfter.String(), "10ms to "+redeliverMost.String())
	}
	if c.MaxDeliver < 0 {
		invalid.add("max_deliver", fmt.Sprint(c.MaxDeliver), "1 or more")
	}
	return errors.Join(invalid.orNil(), c.Streams.Validate())
}

func (c RunConsumerConfig) withDefaults() RunConsumerConfig {
	c.Streams.Prefix = c.Prefix
	if c.AckWait == 0 {
		c.AckWait = DefaultAckWait
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.RedeliverAfter == 0 {
		c.RedeliverAfter = DefaultRedeliverAfter
	}
	if c.MaxDeliver == 0 {
		c.MaxDeliver = DefaultMaxDeliver
	}
	return c
}
