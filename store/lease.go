package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Renewal is what a renewal found of a lease.
type Renewal int

// The answers to a renewal.
const (
	RenewalLost   Renewal = iota // taken over by another attempt, or completed
	RenewalHeld                  // extended
	RenewalCancel                // extended, and the run is to be cancelled
)

// Renew extends the leases of claims of one partition, and tells in the order of the claims what became of each. More than
// 100 are sent in several calls.
func (s *Store) Renew(ctx context.Context, p Partition, lease time.Duration, claims []Claim) (renewed []Renewal, err error) {
	for batch := range chunks(claims) {
		args := []any{lease.Milliseconds()}
		for _, claim := range batch {
			args = append(args, claim.Flow.Name, claim.Token)
		}
		reply, err := s.run(ctx, p, "renew", always(args...))
		if err != nil {
			return nil, err
		}
		answers, err := list(reply, len(batch))
		if err != nil {
			return nil, err
		}
		for _, answer := range answers {
			renewed = append(renewed, Renewal(number(answer)))
		}
	}
	return renewed, nil
}

// Output is what a running claim has written so far.
type Output struct {
	Claim Claim
	Log   []byte
}

// Progress stores the output of running claims of one partition, for whoever watches them.
func (s *Store) Progress(ctx context.Context, p Partition, outputs []Output) error {
	for batch := range chunks(outputs) {
		var args []any
		for _, output := range batch {
			args = append(args, output.Claim.Flow.Name, output.Claim.Token, output.Claim.RunID, output.Log)
		}
		if _, err := s.run(ctx, p, "progress", always(args...)); err != nil {
			return err
		}
	}
	return nil
}

// Release hands occurrences of one partition back that this worker will not finish. None of them spends an attempt: a
// slot is due again under the same beat, a run-now waits again; one that is to be cancelled is ended as that. Answers come in the order of the batch, with Err
// ErrStale where the lease had been lost. Only the Log and Took of an Outcome are used.
func (s *Store) Release(ctx context.Context, p Partition, batch []Completion) (written Written, err error) {
	written.More = true
	for part := range chunks(batch) {
		done, beats, err := s.releaseOnce(ctx, p, part)
		if err != nil {
			return written, err
		}
		written.Answers = append(written.Answers, done...)
		written.Settled = append(written.Settled, beats...)
	}
	return written, nil
}

func (s *Store) releaseOnce(ctx context.Context, p Partition, batch []Completion) (answers []Completed, settled []BeatView, err error) {
	var args []any
	answers = make([]Completed, len(batch))
	for i, c := range batch {
		c.Outcome.Status, c.Outcome.Reason, c.Outcome.Error = StatusCancelled, ReasonHandedBack, "worker shut down"
		record := c.record()
		slot := c.Claim.Slot
		if c.Claim.RunNow() {
			record = runRecord{
				Status: StatusPending, Occurrence: c.Claim.OccurrenceID, Attempt: c.Claim.Attempt,
				Created: c.Claim.StartedAt.UnixMilli(),
			}
			slot = c.Claim.state.slot
		}
		packed, err := json.Marshal(record)
		if err != nil {
			return nil, nil, fmt.Errorf("encode run %s: %w", c.Claim.RunID, err)
		}
		if answers[i].Run, err = decodeRun(p.Group, c.Claim.RunID, string(packed)); err != nil {
			return nil, nil, err
		}
		schedule, err := c.Claim.Flow.Schedule()
		if err != nil {
			return nil, nil, err
		}
		var score time.Time
		switch {
		case slot.IsZero():
		case !c.Claim.RunNow():
			score = schedule.DueAt(slot)
		case c.Claim.state.past.Paused == 0:
			score = c.Claim.state.dueAt(schedule) // of the slot that waits beside the run-now
		}
		args = append(args, c.Claim.Flow.Name, c.Claim.Token, c.Claim.state.rev, c.Claim.RunID, string(packed), msText(score),
			c.Outcome.Log, c.Claim.beatKey)
	}
	reply, err := s.run(ctx, p, "release", always(args...))
	if err != nil {
		return nil, nil, err
	}
	items, err := list(reply, 2)
	if err != nil {
		return nil, nil, err
	}
	outcomes, err := list(items[0], len(batch))
	if err != nil {
		return nil, nil, err
	}
	var over []int // indexes into batch of those that are to be cancelled
	for i, outcome := range outcomes {
		const stale, cancelled = 0, 3
		fields, err := list(outcome, 1)
		switch {
		case err != nil || number(fields[0]) == stale:
			answers[i].Err = ErrStale
		case number(fields[0]) == cancelled:
			over = append(over, i)
		}
	}
	if settled, err = s.settleAll(ctx, p, items[1]); err != nil || len(over) == 0 {
		return answers, settled, err
	}
	ends := make([]Completion, len(over))
	for at, i := range over {
		ends[at] = batch[i]
		ends[at].Outcome.Status, ends[at].Outcome.Reason, ends[at].Outcome.Error = StatusCancelled, ReasonCancelled, "cancelled"
	}
	written, err := s.Complete(ctx, p, ends)
	for at := range written.Answers {
		answers[over[at]] = written.Answers[at]
	}
	return answers, append(settled, written.Settled...), err
}

// chunks yields items in batches that one script call may handle.
func chunks[T any](items []T) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(items) > 0 {
			size := min(len(items), maxBatch)
			if !yield(items[:size]) {
				return
			}
			items = items[size:]
		}
	}
}

func toValid(text string) string { return strings.ToValidUTF8(text, "�") }
