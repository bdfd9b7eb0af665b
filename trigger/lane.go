package trigger

import (
	"context"
	"log/slog"
	"sync"

	"github.com/systole-run/systole/internal/logkey"
)

// maxWaiting is how many beats of one group wait at most. Beyond that the oldest are dropped: newer ones cover them.
const maxWaiting = 1024

// lanes hands beats to the handler: those of one group in order and one at a time, those of different groups side by
// side, so that a slow group holds up nobody else. A lane exists only while it has something to do.
type lanes struct {
	handle  func(context.Context, Beat) error
	metrics *followMetrics
	logger  *slog.Logger

	mu      sync.Mutex
	byGroup map[string]*lane
	running sync.WaitGroup
}

// lane is the queue of one group.
type lane struct {
	waiting []Beat
	newer   chan struct{} // signalled when a beat was added
}

func newLanes(handle func(context.Context, Beat) error, metrics *followMetrics, logger *slog.Logger) *lanes {
	return &lanes{handle: handle, metrics: metrics, logger: logger, byGroup: make(map[string]*lane)}
}

// put adds a beat to its lane. It never blocks.
func (l *lanes) put(ctx context.Context, beat Beat) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.byGroup[beat.Group]
	if queue == nil {
		queue = &lane{newer: make(chan struct{}, 1)}
		l.byGroup[beat.Group] = queue
		l.running.Go(func() { l.run(ctx, beat.Group, queue) })
	}
	queue.waiting = append(queue.waiting, beat)
	if len(queue.waiting) > maxWaiting {
		queue.waiting = queue.waiting[1:]
		l.metrics.covered.Inc()
	}
	select {
	case queue.newer <- struct{}{}:
	default:
	}
}

// wait blocks until every lane has ended. No beat is put any more.
func (l *lanes) wait() { l.running.Wait() }

func (l *lanes) run(ctx context.Context, group string, queue *lane) {
	for {
		beat, ok := l.next(group, queue)
		if !ok {
			return
		}
		l.deliver(ctx, queue, beat)
		if ctx.Err() != nil {
			return
		}
	}
}

// next takes the oldest beat, or ends the lane where there is none.
func (l *lanes) next(group string, queue *lane) (Beat, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(queue.waiting) == 0 {
		delete(l.byGroup, group)
		return Beat{}, false
	}
	beat := queue.waiting[0]
	queue.waiting = queue.waiting[1:]
	return beat, true
}

// deliver calls the handler until it succeeds, ctx ends, or a newer beat covers this one.
func (l *lanes) deliver(ctx context.Context, queue *lane, beat Beat) {
	for attempt := 0; ; attempt++ {
		err := l.handle(WithTraceParent(ctx, beat.TraceParent), beat)
		if err == nil || ctx.Err() != nil {
			return
		}
		l.metrics.retries.Inc()
		l.logger.Warn("heartbeat could not be handled, trying again", logkey.BeatID, beat.ID, logkey.Group, beat.Group,
			logkey.Attempt, attempt+1, logkey.Error, err)
		if l.covered(ctx, queue, attempt) {
			l.metrics.covered.Inc()
			return
		}
	}
}

// covered waits before the next attempt, and reports at once when a newer beat is there.
func (l *lanes) covered(ctx context.Context, queue *lane, attempt int) bool {
	ctx, cancel := context.WithTimeout(ctx, backoff(attempt))
	defer cancel()
	for {
		if l.depth(queue) > 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-queue.newer: // or a signal of an earlier beat, which the look at the queue tells
		}
	}
}

func (l *lanes) depth(queue *lane) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(queue.waiting)
}
