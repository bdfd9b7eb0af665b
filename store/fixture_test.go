package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// lease is so long that none ends but where a test has the clock pass, however long a test that goes by Redis' own clock is
// held up.
const lease = time.Minute

// patience is how long something may take on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

// fixture is a store of one group, with a clock that the test may drive.
type fixture struct {
	testing.TB
	*store.Store
	ctx    context.Context
	client redis.UniversalClient
	prefix string
	p      store.Partition // the only one, or the first

	claimers map[string]*store.Claimer
	now      time.Time // zero: Redis' own clock
	beats    int
}

func newFixture(t testing.TB, cfg store.Config) *fixture {
	t.Helper()
	client, prefix := testenv.Redis(t)
	cfg.Prefix = prefix
	return fixtureOver(t, client, cfg)
}

func fixtureOver(t testing.TB, client redis.UniversalClient, cfg store.Config) *fixture {
	t.Helper()
	s, err := store.New(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{
		TB: t, Store: s, ctx: context.Background(), client: client, prefix: cfg.Prefix, p: s.Partitions("default")[0],
		claimers: map[string]*store.Claimer{},
	}
}

// pass drives the clock: from the first call on it stands still in between. Scripts take the largest time they have
// seen if that is later than Redis' own, so a time far ahead is what counts.
func (f *fixture) pass(d time.Duration) time.Time {
	f.Helper()
	if f.now.IsZero() {
		f.now = time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	f.now = f.now.Add(d)
	for _, p := range f.Partitions("default") {
		if err := f.client.HSet(f.ctx, f.Keys(p)[0], "clock", f.now.UnixMicro()).Err(); err != nil {
			f.Fatal(err)
		}
	}
	return f.now
}

func (f *fixture) put(flows ...store.DataFlow) {
	f.Helper()
	for _, flow := range flows {
		if _, err := f.PutFlow(f.ctx, flow); err != nil {
			f.Fatal(err)
		}
	}
}

func (f *fixture) beat() store.Accepted {
	f.Helper()
	f.beats++
	key := fmt.Sprintf("%d-%d", f.beats, f.beats)
	accepted, err := f.AcceptBeat(f.ctx, store.Arrival{Key: key, ID: "beat-" + key, Group: "default", Worker: "w"})
	if err != nil {
		f.Fatal(err)
	}
	return accepted
}

func (f *fixture) claim(worker string, limit int) store.Claimed {
	f.Helper()
	return f.claimFrom(f.p, worker, limit)
}

func (f *fixture) claimFrom(p store.Partition, worker string, limit int) store.Claimed {
	f.Helper()
	key := worker + p.String()
	if f.claimers[key] == nil {
		f.claimers[key] = f.Claimer(p, worker, lease)
	}
	claimed, err := f.claimers[key].Claim(f.ctx, limit)
	if err != nil {
		f.Fatal(err)
	}
	if len(claimed.Broken) > 0 {
		f.Fatal(claimed.Broken)
	}
	return claimed
}

// claimOne claims what must be exactly one occurrence.
func (f *fixture) claimOne(worker string) store.Claim {
	f.Helper()
	return f.only(f.claim(worker, 100))
}

// claimOneOf claims one of those that there are.
func (f *fixture) claimOneOf(worker string) store.Claim {
	f.Helper()
	return f.only(f.claim(worker, 1))
}

func (f *fixture) only(claimed store.Claimed) store.Claim {
	f.Helper()
	if len(claimed.Claims) != 1 {
		f.Fatalf("claimed %d, want 1", len(claimed.Claims))
	}
	return claimed.Claims[0]
}

func success(claims ...store.Claim) []store.Completion {
	batch := make([]store.Completion, len(claims))
	for i, c := range claims {
		batch[i] = store.Completion{Claim: c, Outcome: store.Outcome{Status: store.StatusSuccess, Took: time.Millisecond}}
	}
	return batch
}

// complete completes claims, all of which must be accepted.
func (f *fixture) complete(claims ...store.Claim) []store.BeatView {
	f.Helper()
	written, err := f.Complete(f.ctx, claims[0].Partition, success(claims...))
	answers, settled := written.Answers, written.Settled
	if err != nil {
		f.Fatal(err)
	}
	for _, answer := range answers {
		if answer.Err != nil {
			f.Fatal(answer.Err)
		}
	}
	return settled
}

func (f *fixture) flow(name string) store.FlowView {
	f.Helper()
	view, err := f.Flow(f.ctx, "default", name)
	if err != nil {
		f.Fatal(err)
	}
	return view
}

func (f *fixture) run(id string) store.Run {
	f.Helper()
	run, err := f.Run(f.ctx, "default", id)
	if err != nil {
		f.Fatal(err)
	}
	return run
}

func (f *fixture) runNow(flow, id string) string {
	f.Helper()
	id, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: flow, ID: id})
	if err != nil {
		f.Fatal(err)
	}
	return id
}

// runID is a run-now's id that sorts by n.
func runID(flow string, n int) string { return fmt.Sprintf("%s~%016d", flow, n) }

// beforeScript is called before each call of a script, with its arguments. An error of its own is the call's, which is not sent.
type beforeScript func(ctx context.Context, args []any) error

func (b beforeScript) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b beforeScript) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b beforeScript) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" {
			if err := b(ctx, cmd.Args()); err != nil {
				cmd.SetErr(err)
				return err
			}
		}
		return next(ctx, cmd)
	}
}
