package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// Clients that work on the same flows at the same time.
const (
	clients    = 6
	shortLease = 50 * time.Millisecond
	// The walk goes on until each of these was met so often, which takes a second or so.
	enough  = 30
	givenUp = 2 * time.Minute
)

// RunConcurrently has clients with a store and a connection of their own claim, renew, complete and hand back the same flows at the
// same time, lose answers, and fall asleep over leases and wake up again. What each was told has to be what a single
// flow's lease could have said to one after the other (porcupine says whether it could): at most one of them holds an
// occurrence at a time, tokens rise, a stale token writes nothing, and no occurrence is completed twice.
func RunConcurrently(t *testing.T, newStore NewStore) {
	history, err := concurrently(t, newStore)
	if err != nil {
		t.Fatal(err)
	}
	if complaint := judge(history); complaint != "" {
		t.Error(complaint)
	}
}

// crowd is what the clients share.
type crowd struct {
	began  time.Time
	beats  atomic.Int64
	asks   atomic.Int64
	met    [len(occasions)]atomic.Int64
	mu     sync.Mutex
	record []porcupine.Operation
}

// What a walk has to meet often enough to say something.
var occasions = [...]string{"completed", "taken over", "renewed", "released", "refused"}

const (
	metCompleted = iota
	metTakenOver
	metRenewed
	metReleased
	metRefused
)

func (c *crowd) metEnough() bool {
	for i := range c.met {
		if c.met[i].Load() < enough {
			return false
		}
	}
	return true
}

// concurrently gives the history of a walk of all clients.
func concurrently(t testing.TB, newStore NewStore) ([]porcupine.Operation, error) {
	shared, prefix := testenv.Redis(t)
	cfg := store.Config{Prefix: prefix, RunsPerFlow: 1_000_000} // a lost answer is given again for as long as the run is kept
	st, err := newStore(shared, cfg)
	if err != nil {
		return nil, err
	}
	for _, flow := range contested() {
		if _, err := st.PutFlow(t.Context(), flow); err != nil {
			return nil, err
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &crowd{began: time.Now()}
	c.asks.Store(c.began.UnixMicro()) // ids of run-nows sort by time
	ctx, cancel := context.WithTimeout(t.Context(), givenUp)
	defer cancel()
	all, ctx := errgroup.WithContext(ctx)
	for id := range clients {
		lossy := new(lossyHook)
		client := redis.NewClient(shared.(*redis.Client).Options())
		t.Cleanup(func() { _ = client.Close() })
		client.AddHook(lossy)
		st, err := newStore(client, cfg)
		if err != nil {
			return nil, err
		}
		p := st.Partitions(store.DefaultGroup)[0]
		one := &leaseClient{
			crowd: c, id: id, store: st, lossy: lossy, partition: p, random: rand.New(rand.NewPCG(seed, uint64(id))),
			claimer: st.Claimer(p, "client-"+strconv.Itoa(id), shortLease), handedBack: map[string]bool{},
		}
		all.Go(func() error { return one.walk(ctx) })
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return c.record, nil
}

// contested are flows that are due all the time, and some that only run on demand.
func contested() []store.DataFlow {
	flow := func(name string, every time.Duration, retry *store.Retry) store.DataFlow {
		return store.DataFlow{Name: name, Every: store.Duration(every), Retry: retry, Function: &store.FunctionSpec{Name: "f"}}
	}
	soon := store.Duration(time.Millisecond)
	return []store.DataFlow{
		flow("steady", store.MinEvery, nil), flow("other", store.MinEvery, nil), flow("demand", 0, nil),
		flow("retried", store.MinEvery, &store.Retry{Attempts: 3, Initial: soon, Max: soon}),
	}
}

// leaseClient is one client. mine is what it believes to hold, slept what it held once.
type leaseClient struct {
	*crowd
	id        int
	store     *store.Store
	lossy     *lossyHook
	partition store.Partition
	claimer   *store.Claimer
	random    *rand.Rand

	mine, slept []store.Claim
	handedBack  map[string]bool // tokens: handing back once more would be taken for a repeated call, and be accepted again
	lost        bool            // an answer to the step under way
}

// walk takes steps until all clients together have met enough.
func (c *leaseClient) walk(ctx context.Context) error {
	for !c.metEnough() {
		if c.lost = false; c.random.IntN(20) == 0 {
			c.lossy.lose = func() { c.lost = true }
		}
		err := c.step(ctx)
		if ctx.Err() != nil {
			met := ""
			for i, occasion := range occasions {
				met += fmt.Sprintf(" %d %s", c.met[i].Load(), occasion)
			}
			return fmt.Errorf("client %d: walk ended after%s: %w", c.id, met, context.Cause(ctx))
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", c.id, err)
		}
	}
	return nil
}

func (c *leaseClient) step(ctx context.Context) error {
	n := c.random.IntN(20)
	switch {
	case n < 3:
		return c.beat(ctx)
	case n < 4:
		_, err := c.store.Enqueue(ctx, store.RunNow{Group: store.DefaultGroup, Flow: "demand", ID: fmt.Sprintf("demand~%016d", c.asks.Add(1))})
		if errors.Is(err, store.ErrQueueFull) {
			return nil
		}
		return err
	case n < 10:
		return c.claim(ctx)
	case n < 12:
		return c.renew(ctx, pick(c.random, c.mine))
	case n < 15:
		return c.end(ctx, take1(c.random, &c.mine), false)
	case n < 16:
		return c.end(ctx, take1(c.random, &c.mine), true)
	case n < 17: // falls asleep over all that it holds
		c.sleep(c.mine...)
		c.mine = nil
		return nil
	case n < 18:
		return c.renew(ctx, pick(c.random, c.slept))
	}
	return c.end(ctx, take1(c.random, &c.slept), n == 19)
}

func (c *leaseClient) beat(ctx context.Context) error {
	n := c.beats.Add(1)
	_, err := c.store.AcceptBeat(ctx, store.Arrival{
		Key: fmt.Sprintf("%d-%d", n, n), ID: strconv.FormatInt(n, 10), Group: store.DefaultGroup, Worker: strconv.Itoa(c.id),
	})
	return err
}

func (c *leaseClient) claim(ctx context.Context) error {
	call := time.Now()
	claimed, err := c.claimer.Claim(ctx, 1+c.random.IntN(3))
	if err = errors.Join(append(claimed.Broken, err)...); err != nil {
		return err
	}
	returned := time.Now()
	for _, claim := range claimed.Claims {
		c.note(step{kind: stepClaim, flow: claim.Flow.Name, lease: shortLease, call: call}, answer{
			token: token(claim), occurrence: claim.OccurrenceID, began: claim.StartedAt, returned: returned,
		})
		if claim.RecoveredID != "" {
			c.met[metTakenOver].Add(1)
		}
	}
	c.mine = append(c.mine, claimed.Claims...)
	for _, done := range claimed.Ended {
		c.note(step{kind: stepGiveUp, flow: done.Run.Flow, call: call}, answer{occurrence: done.Run.OccurrenceID, returned: returned})
		if err := c.store.ResumeFlow(ctx, store.DefaultGroup, done.Run.Flow); err != nil { // a crash too many has paused it
			return err
		}
	}
	return nil
}

func (c *leaseClient) renew(ctx context.Context, claims []store.Claim) error {
	if len(claims) == 0 {
		return nil
	}
	call := time.Now()
	renewed, err := c.store.Renew(ctx, c.partition, shortLease, claims)
	if err != nil {
		return err
	}
	held := renewed[0].Held
	c.note(step{kind: stepRenew, flow: claims[0].Flow.Name, token: token(claims[0]), lease: shortLease, call: call},
		answer{accepted: held, returned: time.Now()})
	c.count(metRenewed, held)
	return nil
}

// end completes or hands back. The claim is kept all the same, so that it is written with again: what then differs is the message.
func (c *leaseClient) end(ctx context.Context, claims []store.Claim, release bool) error {
	if len(claims) == 0 {
		return nil
	}
	outcome := store.Outcome{Status: store.StatusSuccess, Took: time.Millisecond, Message: strconv.FormatUint(c.random.Uint64(), 36)}
	if c.random.IntN(3) == 0 {
		outcome.Status, outcome.Reason = store.StatusFailed, store.ReasonError
	}
	write, kind, met := c.store.Complete, stepComplete, metCompleted
	if release = release && !c.handedBack[claims[0].Token]; release {
		c.handedBack[claims[0].Token] = true
		write, kind, met = c.store.Release, stepRelease, metReleased
	}
	call := time.Now()
	written, err := write(ctx, c.partition, []store.Completion{{Claim: claims[0], Outcome: outcome}})
	if err != nil {
		return err
	}
	said := written.Answers[0]
	if said.Err != nil && !errors.Is(said.Err, store.ErrStale) {
		return said.Err
	}
	c.note(step{kind: kind, flow: claims[0].Flow.Name, token: token(claims[0]), call: call},
		answer{accepted: said.Err == nil, final: !release && said.RetryAt.IsZero(), repeated: c.lost, returned: time.Now()})
	c.count(met, said.Err == nil)
	c.sleep(claims[0])
	return nil
}

// sleep remembers claims to write with later on, the last ones.
func (c *leaseClient) sleep(claims ...store.Claim) {
	const remembered = 20
	c.slept = append(c.slept, claims...)
	c.slept = c.slept[max(0, len(c.slept)-remembered):]
}

func (c *leaseClient) count(met int, accepted bool) {
	if !accepted {
		met = metRefused
	}
	c.met[met].Add(1)
}

// note adds a step to the history.
func (c *leaseClient) note(in step, out answer) {
	op := porcupine.Operation{
		ClientId: c.id, Input: in, Output: out, Call: int64(in.call.Sub(c.began)), Return: int64(out.returned.Sub(c.began)),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record = append(c.record, op)
}

func token(claim store.Claim) uint64 {
	n, _ := strconv.ParseUint(claim.Token, 10, 64)
	return n
}

// pick gives one of them, or none.
func pick(random *rand.Rand, claims []store.Claim) []store.Claim {
	if len(claims) == 0 {
		return nil
	}
	i := random.IntN(len(claims))
	return claims[i : i+1]
}

// take1 takes one of them out, or none.
func take1(random *rand.Rand, claims *[]store.Claim) []store.Claim {
	all := *claims
	if len(all) == 0 {
		return nil
	}
	i := random.IntN(len(all))
	taken := all[i]
	*claims = append(all[:i:i], all[i+1:]...)
	return []store.Claim{taken}
}
