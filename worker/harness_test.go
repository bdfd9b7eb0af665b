package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
	"github.com/systole-run/systole/worker"
)

// harness is a deployment of the test's own on the shared servers: key and subject prefix, streams, a store.
type harness struct {
	t      *testing.T
	nc     *nats.Conn
	prefix string
	store  *store.Store

	redis     redis.UniversalClient
	keyPrefix string
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	nc, prefix := testenv.NATS(t)
	return newHarnessOn(t, nc, prefix)
}

// newHarnessOn is one on a NATS server that the test may disturb.
func newHarnessOn(t *testing.T, nc *nats.Conn, prefix string) *harness {
	t.Helper()
	client, keyPrefix := testenv.Redis(t)
	st, err := store.New(client, store.Config{Prefix: keyPrefix})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	if err := trigger.EnsureStreams(t.Context(), js, trigger.StreamConfig{Prefix: prefix}); err != nil {
		t.Fatal(err)
	}
	return &harness{t: t, nc: nc, prefix: prefix, store: st, redis: client, keyPrefix: keyPrefix}
}

// useRedis moves the harness to another Redis.
func (h *harness) useRedis(client redis.UniversalClient) {
	h.t.Helper()
	h.redis, h.keyPrefix = client, "many"
	st, err := store.New(client, store.Config{Prefix: h.keyPrefix})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store = st
}

// put makes count flows, name-0 and on, that are due at once.
func (h *harness) put(name string, count int) {
	h.t.Helper()
	for i := range count {
		h.putFlow(store.DataFlow{
			Name: fmt.Sprintf("%s-%d", name, i), Every: store.Duration(time.Hour), Function: &store.FunctionSpec{Name: "f"},
		})
	}
}

func (h *harness) putFlow(flow store.DataFlow) {
	h.t.Helper()
	if _, err := h.store.PutFlow(h.t.Context(), flow); err != nil {
		h.t.Fatal(err)
	}
}

// executorFunc is a FlowExecutor of a test.
type executorFunc func(ctx context.Context, task executor.Task) executor.Result

func (f executorFunc) Execute(ctx context.Context, task executor.Task) executor.Result {
	return f(ctx, task)
}

// running is a worker at work.
type running struct {
	*worker.Worker
	stop  context.CancelFunc // begins the drain
	ended chan error         // gives what Run gave
}

// start runs a worker until the test ends or stop is called.
func (h *harness) start(cfg worker.Config, run executorFunc) *running {
	h.t.Helper()
	cfg.Streams.Prefix = h.prefix
	w, err := worker.New(cfg, h.nc, h.store, run)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Worker: w, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- w.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		w.Abort()
		select {
		case <-r.ended:
		case <-time.After(patience):
			h.t.Error("worker did not end")
		}
	})
	eventually(h.t, "worker is ready", w.Ready)
	return r
}

// wait gives what Run gave, and lets the clean-up have it too.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(patience):
		t.Fatal("worker did not end")
		return nil
	}
}

// beat sends a heartbeat as another system would, and waits until it has settled.
func (h *harness) beat() trigger.Settled {
	h.t.Helper()
	return h.waitSettled(h.send())
}

type sent struct {
	id    string
	watch *trigger.SettledWatch
}

// send sends a heartbeat and does not wait for it.
func (h *harness) send() sent { h.t.Helper(); return h.sendTo("default") }

func (h *harness) sendTo(group string) sent {
	h.t.Helper()
	events, err := trigger.NewEvents(h.nc, h.prefix)
	if err != nil {
		h.t.Fatal(err)
	}
	watch, err := events.WatchSettled(group)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(watch.Close)
	publisher, err := trigger.NewPublisher(h.nc, trigger.PublisherConfig{Streams: trigger.StreamConfig{Prefix: h.prefix}, AckTimeout: patience})
	if err != nil {
		h.t.Fatal(err)
	}
	ack, err := publisher.PublishBeat(h.t.Context(), trigger.Beat{Group: group})
	if err != nil {
		h.t.Fatal(err)
	}
	return sent{id: ack.ID, watch: watch}
}

// patience is how long something may take on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

func (h *harness) waitSettled(beat sent) trigger.Settled {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	settled, err := beat.watch.Wait(ctx, beat.id)
	if err != nil {
		h.t.Fatalf("beat %s did not settle: %v", beat.id, err)
	}
	return settled
}

// runs reads all runs of the group.
func (h *harness) runs() []store.Run {
	h.t.Helper()
	runs, _, err := h.store.Runs(h.t.Context(), "default", store.RunFilter{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	return runs
}

// beats reads the heartbeats of the group, the newest first.
func (h *harness) beats() []store.BeatView {
	h.t.Helper()
	beats, _, err := h.store.Beats(h.t.Context(), "default", 1000, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return beats
}

// tally counts how often each flow ran, and on which worker.
type tally struct {
	mu      sync.Mutex
	flows   map[string]int
	workers map[string]int
}

func newTally() *tally { return &tally{flows: map[string]int{}, workers: map[string]int{}} }

func (c *tally) add(task executor.Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flows[task.Flow.Name]++
	c.workers[task.Worker]++
}

func (c *tally) count(flow string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flows[flow]
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// steal makes another attempt own the flow's occurrence, as if its worker had been frozen past its lease.
func (h *harness) steal(flow string) {
	h.t.Helper()
	key, running := h.keyPrefix+":{default/0}:leases", h.flow(flow).RunningID
	thief := h.store.Claimer(h.store.Partitions("default")[0], "thief", time.Second)
	eventually(h.t, "the occurrence is stolen", func() bool { // its worker may renew the lease in between
		if err := h.redis.ZAddXX(h.t.Context(), key, redis.Z{Score: 0, Member: running}).Err(); err != nil {
			h.t.Fatal(err)
		}
		claimed, err := thief.Claim(h.t.Context(), 1)
		if err != nil || len(claimed.Claims) == 1 && claimed.Claims[0].Attempt != 2 {
			h.t.Fatalf("claimed %+v, %v", claimed, err)
		}
		return len(claimed.Claims) == 1
	})
}

// syncBuffer is a buffer that several goroutines may use.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// storesOutput waits until this is what the only run has written, as others can read it.
func (h *harness) storesOutput(want string) {
	h.t.Helper()
	eventually(h.t, "the output of the running flow is stored", func() bool {
		runs := h.runs()
		if len(runs) == 0 {
			return false
		}
		log, err := h.store.RunLog(h.t.Context(), "default", runs[0].ID)
		return err == nil && string(log) == want
	})
}
