package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// putAttempts bounds how often PutFlow starts over because someone else wrote the flow in between.
const putAttempts = 20

// PutFlow creates or changes a definition. A flow whose schedule stays the same keeps its slot and history. Its error
// is an InvalidError where the definition is at fault; then nothing was written.
func (s *Store) PutFlow(ctx context.Context, flow DataFlow) (Change, error) {
	flow = flow.WithDefaults()
	if err := flow.Validate(); err != nil {
		return "", err
	}
	def, err := json.Marshal(flow)
	if err != nil {
		return "", fmt.Errorf("encode flow %s: %w", flow.Name, err)
	}
	// The group is listed before its first flow exists: a group without flows does no harm, a hidden flow would.
	if err := s.redis.SAdd(ctx, s.groupsKey(), flow.Group).Err(); err != nil {
		return "", translate(err)
	}
	var repeated Change // what a call whose answer was lost may have done
	for range putAttempts {
		change, outcome, err := s.putOnce(ctx, flow, string(def))
		if err != nil || outcome == putDone {
			if change == FlowUnchanged && repeated != "" {
				change = repeated
			}
			return change, err
		}
		if outcome == putRepeated {
			repeated = change
		}
	}
	return "", fmt.Errorf("put flow %s: %w: it is being changed all the time", flow.Name, ErrUnavailable)
}

// putOutcome is what came of one attempt at a put.
type putOutcome int

const (
	putDone     putOutcome = iota
	putConflict            // someone else wrote in between
	putRepeated            // something was written in between: by someone else, or by this call before its answer was lost
)

func (s *Store) putOnce(ctx context.Context, flow DataFlow, def string) (change Change, outcome putOutcome, err error) {
	p := s.partitionOf(flow.Group, flow.Name)
	seen, err := s.readFlow(ctx, p, flow.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		change = FlowCreated
	case err != nil:
		return "", putDone, err
	case seen.def == def:
		return FlowUnchanged, putDone, nil
	default:
		change = FlowChanged
	}
	slot, score, err := s.placeFlow(ctx, p, flow, seen, change)
	if err != nil {
		return "", putDone, err
	}
	expected := ""
	if change == FlowChanged {
		expected = seen.state.head()
	}
	outcome = putConflict
	reply, err := s.run(ctx, p, "put_flow", func(repeated bool) []any {
		if repeated {
			outcome = putRepeated
		}
		return []any{flow.Name, expected, def, msText(slot), msText(score), "{}"}
	})
	if err != nil {
		return "", putDone, err
	}
	items, err := list(reply, 1)
	if err != nil {
		return "", putDone, err
	}
	if text(items[0]) == "ok" {
		outcome = putDone
	}
	return change, outcome, nil
}

// placeFlow computes the slot that a new or changed flow waits for, and when it comes due.
func (s *Store) placeFlow(ctx context.Context, p Partition, flow DataFlow, seen storedFlow, change Change) (slot, score time.Time, err error) {
	schedule, err := flow.Schedule()
	if err != nil {
		return slot, score, err
	}
	if change == FlowChanged && flow.SameSchedule(seen.flow) {
		if seen.state.slot.IsZero() {
			return slot, score, nil
		}
		return seen.state.slot, seen.state.dueAt(schedule), nil
	}
	now, err := s.clock(ctx, p)
	if err != nil {
		return slot, score, err
	}
	if change == FlowChanged && seen.state.past.Slot != 0 && schedule.every != 0 {
		slot, _ = schedule.Next(time.UnixMilli(seen.state.past.Slot).UTC(), now)
		return slot, schedule.DueAt(slot), nil
	}
	slot, ok := schedule.First(now)
	if !ok {
		return time.Time{}, time.Time{}, nil
	}
	if schedule.every != 0 {
		return slot, slot, nil // a first slot has no slack, or a beat of just before would run it
	}
	return slot, schedule.DueAt(slot), nil
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
	again := false // the first call may have been carried out
	reply, err := s.run(ctx, s.partitionOf(group, name), "delete_flow", func(repeated bool) []any {
		again = repeated
		return []any{name}
	})
	if err != nil {
		return err
	}
	if number(reply) == 0 && !again {
		return fmt.Errorf("flow %s of group %s: %w", name, group, ErrNotFound)
	}
	return nil
}
