package store

import (
	"context"
	"fmt"
	"time"
)

// PauseFlow stops a flow's slots until it is resumed: nothing of it runs by itself, retries included. A run under way goes
// on, and a run-now still runs. Slots that pass are missed, unless the catch-up policy runs them afterwards. It fails with
// ErrNotFound for an unknown flow; pausing a paused one changes nothing.
func (s *Store) PauseFlow(ctx context.Context, group, name, reason string) error {
	return s.changeState(ctx, group, name, func(state *flowState, now time.Time) bool {
		if state.past.Paused != 0 {
			return false
		}
		state.past.pause(now, cut(reason))
		return true
	})
}

// ResumeFlow lets a paused flow run again. The next heartbeat applies the catch-up policy to what was missed. It fails with
// ErrNotFound for an unknown flow; resuming one that is not paused changes nothing.
func (s *Store) ResumeFlow(ctx context.Context, group, name string) error {
	return s.changeState(ctx, group, name, func(state *flowState, now time.Time) bool {
		past := &state.past
		if past.Paused == 0 {
			return false
		}
		past.PausedFrom, past.Resumed = past.Paused, now.UnixMilli()
		past.Paused, past.PausedReason, past.Failures = 0, "", 0
		return true
	})
}

// changeState writes what change makes of a flow's state, starting over where someone else wrote in between. change
// reports whether there is anything to write.
func (s *Store) changeState(ctx context.Context, group, name string, change func(state *flowState, now time.Time) bool) error {
	p := s.partitionOf(group, name)
	for range putAttempts {
		seen, err := s.readFlow(ctx, p, name)
		if err != nil {
			return fmt.Errorf("flow %s of group %s: %w", name, group, err)
		}
		now, err := s.clock(ctx, p)
		if err != nil {
			return err
		}
		state := seen.state
		if !change(&state, now) {
			return nil
		}
		schedule, err := seen.flow.Schedule()
		if err != nil {
			return fmt.Errorf("flow %s: %w", name, err)
		}
		tail, err := state.tail()
		if err != nil {
			return fmt.Errorf("encode state of %s: %w", name, err)
		}
		var score time.Time
		if !state.slot.IsZero() && state.past.Paused == 0 {
			score = schedule.DueAt(state.slot)
		}
		reply, err := s.run(ctx, p, "pause", always(name, seen.packed, tail, msText(score)))
		if err != nil {
			return err
		}
		if number(reply) == 1 {
			return nil
		}
	}
	return fmt.Errorf("flow %s: %w: it is being changed all the time", name, ErrUnavailable)
}
