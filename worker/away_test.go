package worker_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/worker"
)

// onScripts is called before each script with the group that it is about; an error takes the script's place.
type onScripts func(ctx context.Context, group string) error

func (f onScripts) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f onScripts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f onScripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" {
			_, tag, _ := strings.Cut(cmd.Args()[3].(string), "{")
			group, _, _ := strings.Cut(tag, "/")
			if err := f(ctx, group); err != nil {
				cmd.SetErr(err)
				return err
			}
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
	begun, proceed := make(chan struct{}, len(groups)), make(chan struct{})
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
	case <-time.After(20 * time.Second):
		t.Error("the renewals of all groups are never under way at the same time")
	}
}
