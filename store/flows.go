package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxPage is the most that one page of a listing holds; defaultPage is what it holds where nothing is said.
const (
	maxPage     = 1000
	defaultPage = 100
)

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}

// storedFlow is what Redis holds of one flow.
type storedFlow struct {
	def    string
	flow   DataFlow
	source string
	state  flowState
	open   []openRun
	packed string // the state as Redis holds it
	score  *float64
	// unreadable says why definition or state cannot be read, as where a newer version wrote them; of flow there are name and group then.
	unreadable error
}

// openRun is a run that has begun and not ended: under lease, or waiting.
type openRun struct {
	heldValue
	leased bool
	due    float64 // when its next attempt comes due in ms, 0 where it does not wait for a beat
}

// Flow reads one flow, or fails with ErrNotFound.
func (s *Store) Flow(ctx context.Context, group, name string) (FlowView, error) {
	p := s.partitionOf(group, name)
	stored, err := s.readFlow(ctx, p, name)
	if err != nil {
		return FlowView{}, fmt.Errorf("flow %s of group %s: %w", name, group, err)
	}
	now, err := s.clock(ctx, p)
	if err != nil {
		return FlowView{}, err
	}
	return stored.view(now), nil
}

// Flows reads a page of a group's flows in the order of their names, after the name given. next is empty on the last
// page, else what to give as after. One that cannot be read is listed as FlowView.Unreadable.
func (s *Store) Flows(ctx context.Context, group string, limit int, after string) (flows []FlowView, next string, err error) {
	limit = pageSize(limit)
	flows = []FlowView{}
	for _, p := range s.Partitions(group) {
		page, err := s.flowPage(ctx, p, limit+1, after)
		if err != nil {
			return nil, "", err
		}
		flows = append(flows, page...)
	}
	sort.Slice(flows, func(i, j int) bool { return flows[i].Name < flows[j].Name })
	if len(flows) > limit {
		flows = flows[:limit]
		next = flows[limit-1].Name
	}
	return flows, next, nil
}

func (s *Store) flowPage(ctx context.Context, p Partition, count int, after string) ([]FlowView, error) {
	from := "-"
	if after != "" {
		from = "(" + after
	}
	names, err := s.redis.ZRangeByLex(ctx, s.key(p, "names"), &redis.ZRangeBy{Min: from, Max: "+", Count: int64(count)}).Result()
	if err != nil || len(names) == 0 {
		return nil, translate(err)
	}
	stored, err := s.readFlows(ctx, p, names)
	if err != nil {
		return nil, err
	}
	now, err := s.clock(ctx, p)
	if err != nil {
		return nil, err
	}
	views := make([]FlowView, 0, len(stored))
	for _, flow := range stored {
		views = append(views, flow.view(now))
	}
	return views, nil
}

func (s *Store) readFlow(ctx context.Context, p Partition, name string) (storedFlow, error) {
	stored, err := s.readFlows(ctx, p, []string{name})
	if err != nil {
		return storedFlow{}, err
	}
	if len(stored) == 0 {
		return storedFlow{}, ErrNotFound
	}
	return stored[0], stored[0].unreadable
}

// readFlows reads what is there of the named flows, in one round trip and at one moment.
func (s *Store) readFlows(ctx context.Context, p Partition, names []string) ([]storedFlow, error) {
	pipe := s.redis.TxPipeline()
	defs := pipe.HMGet(ctx, s.key(p, "defs"), names...)
	states := pipe.HMGet(ctx, s.key(p, "state"), names...)
	sources := pipe.HMGet(ctx, s.key(p, "sources"), names...)
	scores := make([]*redis.FloatCmd, len(names))
	open := make([]*redis.StringSliceCmd, len(names))
	for i, name := range names {
		open[i] = pipe.ZRangeByLex(ctx, s.key(p, "open"), &redis.ZRangeBy{Min: "[" + name + "~", Max: "(" + name + "\x7f", Count: maxPage})
		scores[i] = pipe.ZScore(ctx, s.key(p, "due"), name)
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(translate(err), ErrNotFound) {
		return nil, translate(err)
	}
	opened, err := s.readOpen(ctx, p, open)
	if err != nil {
		return nil, err
	}
	flows := make([]storedFlow, 0, len(names))
	for i, name := range names {
		if defs.Val()[i] == nil || states.Val()[i] == nil {
			continue
		}
		flow := storedFlow{def: text(defs.Val()[i]), source: text(sources.Val()[i]), open: opened[i], packed: text(states.Val()[i])}
		if scores[i].Err() == nil {
			score := scores[i].Val()
			flow.score = &score
		}
		if flow.unreadable = flow.decode(); flow.unreadable != nil {
			flow.flow = DataFlow{Group: p.Group, Name: name}
		}
		flows = append(flows, flow)
	}
	return flows, nil
}

func (f *storedFlow) decode() (err error) {
	if f.state, err = decodeState(f.packed); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(f.def), &f.flow); err != nil {
		return fmt.Errorf("decode definition: %w", err)
	}
	return nil
}

// readOpen reads the runs of each list, at one moment that is a little later.
func (s *Store) readOpen(ctx context.Context, p Partition, lists []*redis.StringSliceCmd) ([][]openRun, error) {
	opened := make([][]openRun, len(lists))
	pipe := s.redis.TxPipeline()
	type answers struct {
		held, waiting *redis.SliceCmd
		due           *redis.FloatSliceCmd
	}
	reads := make(map[int]answers)
	for i, ids := range lists {
		if len(ids.Val()) > 0 {
			reads[i] = answers{
				pipe.HMGet(ctx, s.key(p, "held"), ids.Val()...), pipe.HMGet(ctx, s.key(p, "waiting"), ids.Val()...),
				pipe.ZMScore(ctx, s.key(p, "due"), ids.Val()...),
			}
		}
	}
	if len(reads) == 0 {
		return opened, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, translate(err)
	}
	for i, read := range reads {
		for at := range lists[i].Val() {
			if packed := text(read.held.Val()[at]); packed != "" {
				opened[i] = append(opened[i], openRun{decodeHeld(packed), true, 0})
			} else if packed := text(read.waiting.Val()[at]); packed != "" {
				opened[i] = append(opened[i], openRun{decodeHeld(packed), false, read.due.Val()[at]})
			}
		}
	}
	return opened, nil
}

// begun reports whether an occurrence of the slot that the flow waits for has begun.
func (f storedFlow) begun() bool {
	return slices.ContainsFunc(f.open, func(run openRun) bool { return !run.slot.IsZero() && run.slot.Equal(f.state.slot) })
}

func (f storedFlow) view(now time.Time) FlowView {
	past := f.state.past
	view := FlowView{
		DataFlow: f.flow, Source: f.source, LastRunID: past.Run, LastStatus: past.Status, LastSlot: fromMS(past.Slot),
		LastEndedAt: fromMS(past.End), Failures: past.Failures,
		SlotsRan: past.Ran, SlotsMissed: past.Missed, SlotsSkipped: past.Skipped,
		Paused: past.Paused != 0, PausedReason: past.PausedReason, PausedAt: fromMS(past.Paused),
	}
	if f.unreadable != nil {
		view.Unreadable = f.unreadable.Error()
	}
	if !f.state.slot.IsZero() {
		slot := f.state.slot
		view.NextSlot = &slot
	}
	if f.score != nil {
		view.Due = DueToRun(time.UnixMilli(int64(*f.score)), now)
	}
	for _, run := range f.open {
		if run.leased {
			view.RunningID = run.run
			view.Running++
		}
		view.Due = view.Due || run.due > 0 && !view.Paused && DueToRun(time.UnixMilli(int64(run.due)), now)
	}
	return view
}

// Groups are the groups that have or had flows, in order.
func (s *Store) Groups(ctx context.Context) ([]string, error) {
	groups, err := s.redis.SMembers(ctx, s.groupsKey()).Result()
	sort.Strings(groups)
	return groups, translate(err)
}
