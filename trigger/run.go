package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/metric"
)

// RunConsumerName is the durable consumer that all workers share. It takes the requests of all groups, whatever groups a
// worker serves: the handler only writes them into Redis, and consumers of a work queue may not overlap, so that
// consumers per group would stand in each other's way as soon as the groups of a worker change.
const RunConsumerName = "systole-workers"

// How long one request for messages stands, and the longest wait before another delivery.
const (
	fetchWait      = 5 * time.Second
	fetchHeartbeat = time.Second
	redeliverMost  = time.Minute
)

// ErrRejected is what a handler gives, wrapped with the reason, for a request that no repetition would help.
var ErrRejected = errors.New("run request rejected")

// RunConsumer takes run requests off the work queue, shared with all other workers.
type RunConsumer struct {
	cfg      RunConsumerConfig
	subjects Subjects
	store    *storer
	handle   func(context.Context, RunRequest) error
	morgue   *morgue
	outcomes *prometheus.CounterVec
	logger   *slog.Logger

	sweepEvery time.Duration
	holdEvery  time.Duration // between two attempts at a request that is kept

	holding chan struct{}  // one for each request that is kept after its last delivery
	others  sync.WaitGroup // what goes on beside the deliveries

	running atomic.Bool
	started chan struct{}
	once    sync.Once
}

// NewRunConsumer makes a consumer on a connection, which stays the caller's. handle is called from several goroutines
// and must be idempotent by RunRequest.ID, as a request may be delivered again: nil settles the request, ErrRejected
// puts it among the dead, any other error delivers it again after a growing wait, and so does a panic, until MaxDeliver
// puts it among the dead.
func NewRunConsumer(nc *nats.Conn, cfg RunConsumerConfig, handle func(context.Context, RunRequest) error) (*RunConsumer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("run consumer settings: %w", err)
	}
	if handle == nil {
		return nil, errors.New("run consumer: found no handler, allowed is a function")
	}
	store, err := newStorer(nc, cfg.Streams, 0, newPublishMetrics(cfg.Registerer))
	if err != nil {
		return nil, err
	}
	logger := orDiscard(cfg.Logger)
	return &RunConsumer{
		cfg: cfg, subjects: Subjects{Prefix: cfg.Prefix}, store: store, handle: handle, logger: logger,
		morgue:   newMorgue("run", store, newBadMetrics(cfg.Registerer), logger),
		outcomes: newRunOutcomes(cfg.Registerer),
		holding:  make(chan struct{}, maxHeld), sweepEvery: sweepEvery, holdEvery: cfg.AckWait / 3,
		started: make(chan struct{}),
	}, nil
}

// Started is closed when the consumer asks for requests for the first time.
func (c *RunConsumer) Started() <-chan struct{} { return c.started }

// Run consumes until ctx ends, and then gives nil. It gives an error only if the connection is closed for good; while
// the server is away, or the stream is being made anew, it tries again. It runs once.
func (c *RunConsumer) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("consume run requests: Run was called before")
	}
	advisories, err := c.store.nc.SubscribeSync(c.advisorySubject())
	if err != nil {
		return fmt.Errorf("consume run requests: %w", err)
	}
	defer func() { _ = advisories.Unsubscribe() }()
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error { return c.hearAdvisories(running, advisories) })
	group.Go(func() error { return c.keepConsuming(running) })
	group.Go(func() error { c.keepSweeping(running); return nil })
	err = group.Wait()
	c.others.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *RunConsumer) keepConsuming(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := c.consume(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case c.store.nc.IsClosed():
			return fmt.Errorf("consume run requests: %w", nats.ErrConnectionClosed)
		case time.Since(began) > fetchWait:
			attempt = 0
		}
		if attempt > 1 && c.store.nc.IsConnected() {
			c.logger.Warn("run requests cannot be consumed, trying again", logkey.Consumer, RunConsumerName, logkey.Attempt, attempt+1, logkey.Error, err)
		}
		_ = pause(ctx, backoff(attempt))
	}
}

// consume fetches until something fails, such as a consumer that is gone. What it took is settled when it returns.
func (c *RunConsumer) consume(ctx context.Context) error {
	consumer, err := c.consumer(ctx)
	if err != nil {
		return err
	}
	var working sync.WaitGroup
	defer working.Wait()
	free := make(chan struct{}, c.cfg.Concurrency)
	for {
		err := c.fetch(ctx, consumer, func(msg jetstream.Msg) {
			free <- struct{}{}
			working.Go(func() {
				defer func() { <-free }()
				c.process(ctx, msg)
			})
		})
		if err != nil {
			return fmt.Errorf("fetch run requests: %w", err)
		}
	}
}

// fetch passes on what comes in while one request for messages stands. Messages that have come when ctx ends are passed
// on, too: they are this consumer's to give back.
func (c *RunConsumer) fetch(ctx context.Context, consumer jetstream.Consumer, pass func(jetstream.Msg)) error {
	standing, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	batch, err := consumer.Fetch(c.cfg.Concurrency, jetstream.FetchContext(standing), jetstream.FetchHeartbeat(fetchHeartbeat))
	if err != nil {
		return err
	}
	c.once.Do(func() { close(c.started) })
	for msg := range batch.Messages() {
		pass(msg)
	}
	if ctx.Err() == nil && errors.Is(batch.Error(), context.DeadlineExceeded) {
		return nil // nothing to do
	}
	return batch.Error()
}

// consumer makes the durable consumer, or finds it, and makes the stream anew if that is gone.
func (c *RunConsumer) consumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if !c.store.nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	cfg := jetstream.ConsumerConfig{
		Durable:       RunConsumerName,
		Description:   "Workers write run requests into Redis",
		FilterSubject: c.subjects.runs(),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       c.cfg.AckWait,
		MaxDeliver:    c.cfg.MaxDeliver,
	}
	consumer, err := c.store.js.CreateOrUpdateConsumer(ctx, c.subjects.RunStream(), cfg)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if err := c.store.ensure(ctx); err != nil {
			return nil, err
		}
		consumer, err = c.store.js.CreateOrUpdateConsumer(ctx, c.subjects.RunStream(), cfg)
	}
	if err != nil {
		return nil, translate("create consumer "+RunConsumerName, err)
	}
	return consumer, nil
}

// newRunOutcomes counts run requests by how their delivery ended.
func newRunOutcomes(r prometheus.Registerer) *prometheus.CounterVec {
	return metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "systole_run_requests_total",
		Help: "Deliveries of run requests, by outcome: accepted, unconfirmed, dead, retried, panicked, held.",
	}, []string{"outcome"}))
}
