package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Renewal is what a renewal found of a lease.
type Renewal struct {
	Held   bool   // it is extended; else it was taken over by another attempt, or the run was completed
	Cancel string // why the run is to be cancelled, empty if it is not
}

// Renew extends the leases of claims of one partition, and tells in the order of the claims what became of each. More than
// 100 are sent in several calls.
func (s *Store) Renew(ctx context.Context, p Partition, lease time.Duration, claims []Claim) (renewed []Renewal, err error) {
	for batch := range chunks(claims) {
		args := []any{lease.Milliseconds()}
		for _, claim := range batch {
			args = append(args, claim.RunID, claim.Token)
		}
		reply, err := s.run(ctx, p, "renew", always(args...))
		if err != nil {
			return nil, err
		}
		answers, err := list(reply, len(batch))
		if err != nil {
			return nil, err
		}
		for _, item := range answers {
			answer, err := list(item, 1)
			if err != nil {
				return nil, err
			}
			renewal := Renewal{Held: number(answer[0]) == 1}
			if len(answer) > 1 {
				renewal.Cancel = text(answer[1])
			}
			renewed = append(renewed, renewal)
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
			args = append(args, output.Claim.RunID, output.Claim.Token, output.Log)
		}
		if _, err := s.run(ctx, p, "progress", always(args...)); err != nil {
			return err
		}
	}
	return nil
}

// Release hands occurrences of one partition back that this worker will not finish. None of them spends an attempt: each is
// pending again, to be claimed at once; one that is to be cancelled is ended as that. Answers come in the order of the
// batch, with Err ErrStale where the lease had been lost. Only the Log and Took of an Outcome are used.
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
		packed, run, err := c.handBack()
		if err != nil {
			return nil, nil, err
		}
		answers[i].Run = run
		args = append(args, packed...)
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
	var ends []Completion
	for i, outcome := range outcomes {
		const stale, cancelled = 0, 3
		fields, err := list(outcome, 1)
		switch {
		case err != nil || number(fields[0]) == stale:
			answers[i].Err = ErrStale
		case number(fields[0]) == cancelled && len(fields) > 1:
			over = append(over, i)
			ends = append(ends, batch[i].cancelled(text(fields[1])))
		}
	}
	if settled, err = s.settleAll(ctx, p, items[1]); err != nil || len(over) == 0 {
		return answers, settled, err
	}
	written, err := s.Complete(ctx, p, ends)
	for at := range written.Answers {
		answers[over[at]] = written.Answers[at]
	}
	return answers, append(settled, written.Settled...), err
}

// cancelled is the end of a run that was to be handed back and is to be cancelled.
func (c Completion) cancelled(why string) Completion {
	c.Outcome.Status, c.Outcome.Reason, c.Outcome.Error = StatusCancelled, CancelReason(why), why
	return c
}

// handBack gives the arguments that hand the claim back, as lua/release.lua takes them, and its run as it stands then. A
// run-now stays the run that was asked for.
func (c Completion) handBack() (args []any, run Run, err error) {
	waiting, err := json.Marshal(c.Claim.pending())
	if err != nil {
		return nil, run, fmt.Errorf("encode run %s: %w", c.Claim.RunID, err)
	}
	packed, next := waiting, ""
	if !c.Claim.RunNow() {
		next = c.Claim.nextRun(c.Claim.Attempt)
		c.Outcome.Status, c.Outcome.Reason, c.Outcome.Error = StatusCancelled, ReasonHandedBack, "worker shut down"
		if c.later {
			c.Outcome.Error = "worker could not read the definition"
		}
		if packed, err = json.Marshal(c.record()); err != nil {
			return nil, run, fmt.Errorf("encode run %s: %w", c.Claim.RunID, err)
		}
	}
	if run, err = decodeRun(c.Claim.Partition.Group, c.Claim.RunID, string(packed)); err != nil {
		return nil, run, err
	}
	back, later := "", ""
	if c.later {
		later = "1"
	} else if !c.Claim.owns() && c.Claim.Flow.Overlap == OverlapForbid {
		schedule, err := c.Claim.Flow.Schedule()
		if err != nil {
			return nil, run, err
		}
		back = c.Claim.back(schedule)
	}
	return []any{
		c.Claim.RunID, c.Claim.Token, c.Claim.state.rev, string(packed), c.Outcome.Log, back, c.Claim.beatKey, later,
		next, string(waiting),
	}, run, nil
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
