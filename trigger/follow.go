package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// DefaultWatchdog is how often a follower looks for beats that it missed, where nothing else is configured.
const DefaultWatchdog = 30 * time.Second

// FollowerConfig configures a Follower. The zero value follows all groups.
type FollowerConfig struct {
	Prefix   string             // of all subjects; DefaultPrefix
	Groups   []string           // the groups to hand over; none means all
	Watchdog time.Duration      // between two looks for missed beats; DefaultWatchdog
	Streams  StreamConfig       // how streams that are gone are made anew; its Prefix is Prefix
	OnWake   func(group string) // called for each Wake of a followed group; it must not block

	// OnCancel is called for each Cancel of a followed group; it must not block. The run may be anyone's, or none.
	OnCancel func(group, runID string)

	Logger     *slog.Logger          // nil: no logs
	Registerer prometheus.Registerer // nil: no metrics
}

// Validate reports every field that is out of bounds.
func (c FollowerConfig) Validate() error {
	var invalid InvalidError
	for i, group := range c.Groups {
		if !ValidName(group) {
			invalid.add(fmt.Sprintf("groups[%d]", i), quote(group), nameAllowed)
		}
	}
	if c.Watchdog < 0 {
		invalid.add("watchdog", c.Watchdog.String(), "a duration above 0")
	}
	return errors.Join(invalid.orNil(), c.Streams.Validate())
}

// Follower hands over the beats of some groups, or of all. It keeps nothing on the server that could be lost: a plain
// subscription tells it of new beats, and the register of those that it missed.
type Follower struct {
	cfg      FollowerConfig
	subjects Subjects
	nc       *nats.Conn
	register *beatRegister
	seen     *identities
	lanes    *lanes
	morgue   *morgue
	hints    *morgue // only counts and logs: a bad hint is nothing to keep
	metrics  *followMetrics
	logger   *slog.Logger

	look    chan struct{} // asks for a look into the register
	running atomic.Bool
	current atomic.Bool // the register was read after the subscription stood
	settled bool        // the streams have what the settings say; of the watching goroutine
	started chan struct{}
	once    sync.Once
}

// NewFollower makes a follower on a connection, which stays the caller's. handle is called with every beat: in order
// and one at a time for one group, at the same time for different ones. Where it fails it is called again, with a
// growing wait, until it succeeds or a newer beat of the group covers this one. A beat may be handed over twice.
func NewFollower(nc *nats.Conn, cfg FollowerConfig, handle func(context.Context, Beat) error) (*Follower, error) {
	cfg.Streams.Prefix = cfg.Prefix
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("follower settings: %w", err)
	}
	if handle == nil {
		return nil, errors.New("follower: found no handler, allowed is a function")
	}
	if cfg.Watchdog == 0 {
		cfg.Watchdog = DefaultWatchdog
	}
	store, err := newStorer(nc, cfg.Streams, 0, newPublishMetrics(cfg.Registerer))
	if err != nil {
		return nil, err
	}
	subjects, logger, metrics := Subjects{Prefix: cfg.Prefix}, orDiscard(cfg.Logger), newFollowMetrics(cfg.Registerer)
	bad := newBadMetrics(cfg.Registerer)
	return &Follower{
		cfg: cfg, subjects: subjects, nc: nc, metrics: metrics, logger: logger,
		register: &beatRegister{store: store, subjects: subjects},
		seen:     newIdentities(),
		lanes:    newLanes(handle, metrics, logger),
		morgue:   newMorgue("beat", store, bad, logger),
		hints:    newMorgue("cancel", store, bad, logger),
		look:     make(chan struct{}, 1),
		started:  make(chan struct{}),
	}, nil
}

// Started is closed when the follower has subscribed and has read the register for the first time.
func (f *Follower) Started() <-chan struct{} { return f.started }

// Ready reports whether beats reach the follower now.
func (f *Follower) Ready() bool { return f.current.Load() && f.nc.IsConnected() }

// Run follows until ctx ends, and then gives nil. It gives an error if the connection is closed, or the server refuses
// the subscription; while the server is away it waits. All that it started has ended when it returns. It runs once.
func (f *Follower) Run(ctx context.Context) error {
	if !f.running.CompareAndSwap(false, true) {
		return errors.New("follow heartbeats: Run was called before")
	}
	// Before the subscriptions, so that no reconnect goes unnoticed.
	status := f.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer f.nc.RemoveStatusListener(status)
	group, running := errgroup.WithContext(ctx)
	defer f.current.Store(false)
	for subject, receive := range map[string]func(*nats.Msg){
		f.subjects.Tick(">"):   func(msg *nats.Msg) { f.tick(running, msg) },
		f.subjects.Wake("*"):   f.wake,
		f.subjects.Cancel("*"): f.cancel,
	} {
		subscription, err := f.nc.SubscribeSync(subject)
		if err != nil {
			group.Go(func() error { return fmt.Errorf("subscribe to %s: %w", subject, err) })
			continue
		}
		defer func() { _ = subscription.Unsubscribe() }()
		group.Go(func() error { return f.receive(running, subscription, receive) })
	}
	group.Go(func() error { return f.watch(running, status) })
	group.Go(func() error { f.morgue.run(running, f.forget); return nil })
	err := group.Wait()
	f.lanes.wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// receive passes on what a subscription brings until ctx ends.
func (f *Follower) receive(ctx context.Context, subscription *nats.Subscription, pass func(*nats.Msg)) error {
	for {
		msg, err := subscription.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer): // the client dropped messages; the register still has them
			f.askForLook()
		case err != nil:
			return fmt.Errorf("receive from %s: %w", subscription.Subject, err)
		default:
			pass(msg)
		}
	}
}

func (f *Follower) tick(ctx context.Context, msg *nats.Msg) {
	if m, ok := f.subjects.fromTick(msg); ok {
		f.offer(ctx, m, nil)
		return
	}
	bad := letter{stored{subject: msg.Subject, header: msg.Header, data: msg.Data}, fault{
		faultUnstored,
		errors.New("found a message that no stream republished, allowed is publishing to " + f.subjects.Beat("<group>")),
	}}
	if len(msg.Header) == 0 { // or the client could not read its headers: then the register has it
		f.morgue.note(bad)
		f.askForLook()
		return
	}
	f.morgue.put(bad)
}

// offer hands over a stored message if it is a beat of a followed group and was not handed over before.
func (f *Follower) offer(ctx context.Context, m stored, unreadable error) {
	if !f.seen.add(m.seq, m.at) {
		return
	}
	beat, bad := f.subjects.beatOf(m, unreadable)
	if bad != nil {
		f.morgue.put(letter{m, *bad})
		return
	}
	if f.follows(beat.Group) {
		f.metrics.beat(beat.Group, beat.StoredAt)
		f.lanes.put(ctx, beat)
	}
}

func (f *Follower) follows(group string) bool {
	return len(f.cfg.Groups) == 0 || slices.Contains(f.cfg.Groups, group)
}
