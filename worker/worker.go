package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// Worker follows heartbeats and runs what they make due. Its methods are safe for concurrent use; Run is called once.
type Worker struct {
	cfg      Config
	nc       *nats.Conn
	store    *store.Store
	executor executor.FlowExecutor
	events   *trigger.Events
	follower *trigger.Follower
	runNows  *trigger.RunConsumer
	log      *slog.Logger
	metrics  *metrics
	tracer   trace.Tracer
	origins  *origins

	lanes     *lanes
	active    *active
	completer *completer
	abort     chan struct{}
	abortOnce sync.Once
	draining  atomic.Bool    // nothing more is claimed
	runs      sync.WaitGroup // goroutines of runs
}

// New makes a worker on a NATS connection, a store and an executor, all of which stay the caller's. It reaches neither
// server before Run.
func New(cfg Config, nc *nats.Conn, st *store.Store, flows executor.FlowExecutor) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, nc: nc, store: st, executor: flows, log: cfg.Logger.With(logkey.Worker, cfg.ID),
		metrics: newMetrics(cfg.Registerer), tracer: cfg.TracerProvider.Tracer("github.com/systole-run/systole/worker"),
		origins: newOrigins(), lanes: newLanes(st, cfg.ID, cfg.Lease), active: newActive(), abort: make(chan struct{}),
	}
	w.completer = newCompleter(w)
	if w.events, err = trigger.NewEvents(nc, cfg.Streams.Prefix); err != nil {
		return nil, fmt.Errorf("make events: %w", err)
	}
	w.follower, err = trigger.NewFollower(nc, trigger.FollowerConfig{
		Prefix: cfg.Streams.Prefix, Streams: cfg.Streams, Groups: cfg.Groups, Logger: cfg.Logger,
		Registerer: cfg.Registerer, OnWake: w.Wake, OnCancel: w.Cancel,
	}, w.HeartbeatEvent)
	if err != nil {
		return nil, fmt.Errorf("make follower: %w", err)
	}
	w.runNows, err = trigger.NewRunConsumer(nc, trigger.RunConsumerConfig{
		Prefix: cfg.Streams.Prefix, Streams: cfg.Streams, Logger: cfg.Logger, Registerer: cfg.Registerer,
	}, w.RunNow)
	if err != nil {
		return nil, fmt.Errorf("make run-now consumer: %w", err)
	}
	return w, nil
}

// ID names the worker in run records.
func (w *Worker) ID() string { return w.cfg.ID }

// Started is closed once the worker hears heartbeats for the first time.
func (w *Worker) Started() <-chan struct{} { return w.follower.Started() }

// Ready reports whether the worker hears heartbeats.
func (w *Worker) Ready() bool { return w.follower.Ready() }

// Run works until ctx ends, then drains: it takes nothing more, lets runs finish for DrainTimeout, cancels the rest and
// hands their occurrences back. It returns when nothing of it is left running; the error is nil after a clean drain.
func (w *Worker) Run(ctx context.Context) error {
	// What was claimed has to be ended properly after ctx is over, so the inner parts live on a context of their own.
	inner, stopInner := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInner()
	defer context.AfterFunc(ctx, func() { w.draining.Store(true) })()
	var background sync.WaitGroup
	background.Go(func() { w.renewLoop(inner) })

	listening, listen := errgroup.WithContext(ctx)
	listening.Go(func() error { return w.follower.Run(listen) })
	listening.Go(func() error { return w.runNows.Run(listen) })
	listening.Go(func() error { w.claimLoop(listen, inner); return nil })
	listening.Go(func() error { w.lookAround(listen); return nil })
	err := listening.Wait()

	drained := w.drain()
	if drained {
		w.completer.flush()
	}
	stopInner()
	background.Wait()
	if !drained {
		return fmt.Errorf("worker %s: %d occurrences could be neither completed nor handed back; their leases expire", w.cfg.ID, w.active.count())
	}
	w.runs.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("worker %s: %w", w.cfg.ID, err)
	}
	return nil
}

// Abort makes a drain that goes on, or the next one, end at once: runs are cancelled without grace and handed back.
func (w *Worker) Abort() { w.abortOnce.Do(func() { close(w.abort) }) }

// abortTimeout bounds how long a worker that ends at once tries to hand back what it holds.
const abortTimeout = 10 * time.Second

// drain waits for the runs, and cancels what is left of them after DrainTimeout or Abort. It gives false where their
// ends cannot be written since Redis is away: that is given up after a lease's time, or soon after Abort.
func (w *Worker) drain() bool {
	count := w.active.count()
	if count == 0 {
		return true
	}
	w.log.Info("draining", logkey.Count, count)
	ended := w.active.ended()
	switch w.await(ended, w.cfg.DrainTimeout) {
	case drainEnded:
		return true
	case drainTimeout:
		w.active.cancelAll(executor.ErrDraining)
		switch w.await(ended, w.cfg.Lease) {
		case drainEnded:
			return true
		case drainTimeout:
			return false
		}
	}
	w.active.cancelAll(executor.ErrAborted)
	select {
	case <-ended:
		return true
	case <-time.After(abortTimeout):
		return false
	}
}

// What ends a wait of the drain.
const (
	drainEnded = iota
	drainTimeout
	drainAborted
)

func (w *Worker) await(ended <-chan struct{}, atMost time.Duration) int {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-ended:
		return drainEnded
	case <-timer.C:
		return drainTimeout
	case <-w.abort:
		return drainAborted
	}
}
