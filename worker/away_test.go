package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/worker"
)

// onCommands is called before each command with the group that it is about, if any; an error takes the command's place.
type onCommands func(ctx context.Context, command, group string) error

// onScripts is called only before scripts.
func onScripts(f func(ctx context.Context, group string) error) onCommands {
	return func(ctx context.Context, command, group string) error {
		if command != "evalsha" {
			return nil
		}
		return f(ctx, group)
	}
}

func (f onCommands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f onCommands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f onCommands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		_, tag, _ := strings.Cut(fmt.Sprint(cmd.Args()...), "{")
		group, _, _ := strings.Cut(tag, "/")
		if err := f(ctx, cmd.Name(), group); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

// putIn makes a flow of that name in a group of that name.
func (h *harness) putIn(group string) {
	h.t.Helper()
	h.putFlow(every(group, func(f *store.DataFlow) { f.Group = group }))
}

// The node of a Redis Cluster that has one group is away: the ends of other groups' runs are written all the same.
func TestAnEndThatCannotBeWrittenHoldsUpNoOtherGroup(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putIn("away")
	h.putIn("near")
	begun := make(chan struct{}, 2)
	proceed := map[string]chan struct{}{"away": make(chan struct{}), "near": make(chan struct{})}
	h.start(worker.Config{Lease: time.Hour}, func(_ context.Context, task executor.Task) executor.Result {
		begun <- struct{}{}
		<-proceed[task.Flow.Group]
		return executor.Result{}
	})
	away, near := h.sendTo("away"), h.sendTo("near")
	<-begun
	<-begun
	refused, back := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.redis.AddHook(onScripts(func(_ context.Context, group string) error {
		select {
		case <-back:
			return nil
		default:
		}
		if group != "away" {
			return nil
		}
		once.Do(func() { close(refused) })
		return net.ErrClosed
	}))
	close(proceed["away"])
	<-refused
	close(proceed["near"])
	if settled := h.waitSettled(near); settled.Succeeded != 1 {
		t.Errorf("settled as %+v", settled)
	}
	close(back)
	if settled := h.waitSettled(away); settled.Succeeded != 1 {
		t.Errorf("settled as %+v", settled)
	}
}

// Nor do leases have to wait for one another: each renewal is held up here until that of every other group has come.
func TestARenewalThatGetsNoAnswerHoldsUpNoOtherGroup(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	groups := []string{"a", "b", "c", "d"}
	for _, group := range groups {
		h.putIn(group)
	}
	begun, proceed := make(chan struct{}, 100), make(chan struct{}) // a lease that is over all the same lets another run begin
	h.start(worker.Config{Lease: 3 * time.Second}, func(context.Context, executor.Task) executor.Result {
		begun <- struct{}{}
		<-proceed
		return executor.Result{}
	})
	defer close(proceed)
	for _, group := range groups {
		h.sendTo(group)
	}
	for range groups {
		<-begun
	}
	all := make(chan struct{})
	var mu sync.Mutex
	held := map[string]int{}
	h.redis.AddHook(onScripts(func(ctx context.Context, group string) error {
		mu.Lock()
		held[group]++
		if held[group] == 1 && len(held) == len(groups) {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
			return nil
		case <-ctx.Done():
		}
		mu.Lock()
		defer mu.Unlock()
		if held[group]--; held[group] == 0 {
			delete(held, group)
		}
		return ctx.Err()
	}))
	select {
	case <-all:
	case <-time.After(patience):
		t.Error("the renewals of all groups are never under way at the same time")
	}
}

// A claim from a node that is away takes seconds to fail. It is not tried again before the node answers: the others would have
// to wait for that each time.
func TestAPartitionThatIsAwayIsNotClaimedFromUntilItAnswers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putIn("away")
	var mu sync.Mutex
	away, looks, claims := false, 0, 0 // those of the group, while it is away
	looked := make(chan struct{})
	h.redis.AddHook(onCommands(func(_ context.Context, command, group string) error {
		mu.Lock()
		defer mu.Unlock()
		if group != "away" || !away {
			return nil
		}
		if command == "evalsha" {
			claims++
			return errors.New("OOM as far as this test goes") // what is not worth repeating fails at once
		}
		if looks++; looks == 3 {
			close(looked)
		}
		return net.ErrClosed
	}))
	w := h.start(worker.Config{}, func(context.Context, executor.Task) executor.Result { return executor.Result{} })
	beat := h.sendTo("away")
	h.waitSettled(beat)
	mu.Lock()
	away = true
	mu.Unlock()
	w.Wake("away")
	<-looked
	mu.Lock()
	away = false
	if claims != 1 {
		t.Errorf("%d claims while the partition was looked at %d times, want 1", claims, looks)
	}
	mu.Unlock()
	if _, err := h.store.Enqueue(t.Context(), store.RunNow{Group: "away", Flow: "away"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is claimed from again", func() bool {
		runs, _, err := h.store.Runs(t.Context(), "away", store.RunFilter{Status: store.StatusSuccess})
		return err == nil && len(runs) == 2
	})
}

// A worker that was frozen between its claim and the run does not begin it: somebody else may have by then.
func TestAClaimWhoseAnswerComesAfterItsLeaseIsNotRun(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.putFlow(every("slow", nil))
	const lease = 2 * time.Second
	var frozen atomic.Bool
	h.redis.AddHook(afterScripts(func(script redis.Cmder) {
		if frozen.Load() {
			return
		}
		flow, err := h.store.Flow(context.Background(), "default", "slow")
		if _, token, running := strings.Cut(flow.RunningID, "~"); err != nil || !running || !strings.Contains(fmt.Sprint(script), token) {
			return // this is not the answer to the claim
		}
		if !frozen.Swap(true) {
			<-time.After(lease)
		}
	}))
	attempts := make(chan int, 10)
	h.start(worker.Config{Lease: lease}, func(_ context.Context, task executor.Task) executor.Result {
		attempts <- task.Attempt
		return executor.Result{}
	})
	h.send()
	if attempt := <-attempts; attempt == 1 {
		t.Error("the first attempt ran, though its lease was over")
	}
}

// afterScripts is called after each script, before its answer is given.
type afterScripts func(script redis.Cmder)

func (f afterScripts) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f afterScripts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f afterScripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "evalsha" {
			f(cmd)
		}
		return err
	}
}
