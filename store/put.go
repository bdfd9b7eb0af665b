package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// putAttempts bounds how often a put starts over because someone else wrote the flow in between.
const putAttempts = 20

// PutFlow creates or changes a definition. A flow whose schedule stays the same keeps its slot and history; where the
// flow was applied from stays as it is. Its error is an InvalidError where the definition is at fault; then nothing was
// written.
func (s *Store) PutFlow(ctx context.Context, flow DataFlow) (Change, error) {
	one, err := s.newPut(flow, "")
	if err != nil {
		return "", err
	}
	if err := s.writeAll(ctx, []*put{one}); err != nil {
		return "", err
	}
	return one.change.Result, nil
}

// placement is where a new or changed flow stands: the slot that it waits for, when that comes due, and what it passes over.
type placement struct {
	slot, score time.Time
	notes       []slotNote
}

// placeFlow computes where a flow is put. clock is asked for the partition's time only where that matters.
func placeFlow(flow DataFlow, seen storedFlow, change Change, clock func() (time.Time, error)) (placed placement, err error) {
	schedule, err := flow.Schedule()
	if err != nil {
		return placed, err
	}
	if change == FlowChanged && flow.SameSchedule(seen.flow) {
		if !seen.state.slot.IsZero() {
			placed.slot, placed.score = seen.state.slot, schedule.DueAt(seen.state.slot)
		}
		return placed, nil
	}
	now, err := clock()
	if err != nil {
		return placed, err
	}
	if change == FlowChanged {
		placed.notes = leftBehind(seen, now)
	}
	if change == FlowChanged && seen.state.past.Slot != 0 && schedule.every != 0 {
		placed.slot, _ = schedule.Next(time.UnixMilli(seen.state.past.Slot).UTC(), now)
		placed.score = schedule.DueAt(placed.slot)
		return placed, nil
	}
	slot, ok := schedule.First(now)
	switch {
	case !ok:
	case schedule.every != 0:
		placed.slot, placed.score = slot, slot // a first slot has no slack, or a beat of just before would run it
	default:
		placed.slot, placed.score = slot, schedule.DueAt(slot)
	}
	return placed, nil
}

// leftBehind are the slots of a flow's schedule that had come due, and that no heartbeat has covered, when it is changed. Of a
// schedule that cannot be read nobody knows; putting the flow is how to mend that.
func leftBehind(seen storedFlow, now time.Time) []slotNote {
	planner, err := newPlanner(seen.flow, seen.state.past)
	if err != nil || seen.state.slot.IsZero() {
		return nil
	}
	last, ok := planner.last(seen.state.slot, now)
	if !ok {
		return nil
	}
	return planner.missed(seen.state.slot, last, ReasonScheduleChanged)
}

// clock is the partition's time as its scripts see it: Redis TIME, but never behind the largest they have seen.
func (s *Store) clock(ctx context.Context, p Partition) (time.Time, error) {
	now, err := s.Now(ctx)
	if err != nil {
		return now, err
	}
	seen, err := s.redis.HGet(ctx, s.key(p, "meta"), "clock").Result()
	if errors.Is(err, redis.Nil) {
		return now.UTC(), nil
	}
	if err != nil {
		return now, translate(err)
	}
	micros, err := strconv.ParseInt(seen, 10, 64)
	if err != nil {
		return now, fmt.Errorf("read clock of %s: %w", p, err)
	}
	if largest := time.UnixMicro(micros); largest.After(now) {
		now = largest
	}
	return now.UTC(), nil
}

// DeleteFlow removes a definition, or fails with ErrNotFound. A run under way finishes; the history stays until it is
// past retention.
func (s *Store) DeleteFlow(ctx context.Context, group, name string) error {
	return s.deleteFlow(ctx, group, name, "")
}

// DeleteFlowFrom does the same as long as source is still where the flow was applied from, the last time; else it fails
// with ErrNotFound.
func (s *Store) DeleteFlowFrom(ctx context.Context, source, group, name string) error {
	if source == "" {
		return fmt.Errorf("flow %s of group %s, from no source: %w", name, group, ErrNotFound)
	}
	return s.deleteFlow(ctx, group, name, source)
}

func (s *Store) deleteFlow(ctx context.Context, group, name, source string) error {
	again := false // the first call may have been carried out
	reply, err := s.run(ctx, s.partitionOf(group, name), "delete_flow", func(repeated bool) []any {
		again = repeated
		return []any{name, source}
	})
	if err != nil {
		return err
	}
	if number(reply) == 0 && !again {
		return fmt.Errorf("flow %s of group %s: %w", name, group, ErrNotFound)
	}
	return nil
}
