package store

import (
	"context"
	"fmt"
	"time"
)

// maxPutBytes bounds the definitions that go into one call, unless one of them alone is larger.
const maxPutBytes = 1 << 20

// PutFlows creates or changes any number of definitions, each whole or not at all, and gives what became of each, in
// order. It takes two round trips for up to 100 flows of a partition.
//
// source, of up to MaxSource bytes, is recorded as where they were applied from; an empty one leaves what is recorded. A
// flow that moves to another source is changed, in the field "source", though it keeps its schedule and history.
//
// The error is an InvalidError, with fields such as "flows[3].every", where source or any definition is at fault, or a
// name comes twice in a group; then nothing was written. After any other error some flows may have been written, and
// calling it again does the rest.
func (s *Store) PutFlows(ctx context.Context, source string, flows []DataFlow) ([]FlowChange, error) {
	puts, err := s.newPuts(source, flows)
	if err != nil {
		return nil, err
	}
	if err := s.writeAll(ctx, puts); err != nil {
		return nil, err
	}
	return changesOf(puts), nil
}

// PlanFlows gives what PutFlows would do, with the same errors, and writes nothing.
func (s *Store) PlanFlows(ctx context.Context, source string, flows []DataFlow) ([]FlowChange, error) {
	puts, err := s.newPuts(source, flows)
	if err != nil {
		return nil, err
	}
	for _, b := range s.putBatches(puts) {
		if err := s.look(ctx, b.p, b.puts); err != nil {
			return nil, err
		}
	}
	return changesOf(puts), nil
}

// putBatch is what one call of the script takes.
type putBatch struct {
	p    Partition
	puts []*put
}

// putBatches shares puts out, in their order within each partition.
func (s *Store) putBatches(puts []*put) []putBatch {
	var batches []putBatch
	filling := map[Partition]int{} // index of the batch that still has room
	bytes := map[Partition]int{}
	for _, one := range puts {
		p := s.partitionOf(one.flow.Group, one.flow.Name)
		at, found := filling[p]
		if !found || len(batches[at].puts) == maxBatch || bytes[p]+len(one.def) > maxPutBytes {
			at = len(batches)
			batches = append(batches, putBatch{p: p})
			filling[p], bytes[p] = at, 0
		}
		batches[at].puts = append(batches[at].puts, one)
		bytes[p] += len(one.def)
	}
	return batches
}

func (s *Store) writeAll(ctx context.Context, puts []*put) error {
	// A group is listed before its first flow exists: a group without flows does no harm, a hidden flow would.
	var groups []any
	listed := map[string]bool{}
	for _, one := range puts {
		if group := one.flow.Group; !listed[group] {
			listed[group] = true
			groups = append(groups, group)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	if err := s.redis.SAdd(ctx, s.groupsKey(), groups...).Err(); err != nil {
		return translate(err)
	}
	for _, b := range s.putBatches(puts) {
		if err := s.writeBatch(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// writeBatch writes what differs of a batch, and starts over with those flows that someone else wrote in between.
func (s *Store) writeBatch(ctx context.Context, b putBatch) error {
	open := b.puts
	for range putAttempts {
		if err := s.look(ctx, b.p, open); err != nil {
			return err
		}
		var differing []*put
		for _, one := range open {
			if one.change.Result != FlowUnchanged {
				differing = append(differing, one)
			} else if one.maybe != nil {
				one.change = *one.maybe
			}
		}
		if len(differing) == 0 {
			return nil
		}
		var err error
		if open, err = s.writeOnce(ctx, b.p, differing); err != nil || len(open) == 0 {
			return err
		}
	}
	return fmt.Errorf("put flow %s: %w: it is being changed all the time", open[0].flow.Name, ErrUnavailable)
}

// writeOnce calls the script once and gives those that conflict.
func (s *Store) writeOnce(ctx context.Context, p Partition, puts []*put) (conflicting []*put, err error) {
	var now time.Time // asked for once, if at all
	clock := func() (time.Time, error) {
		var err error
		if now.IsZero() {
			now, err = s.clock(ctx, p)
		}
		return now, err
	}
	var args []any
	for _, one := range puts {
		if args, err = one.arguments(args, clock); err != nil {
			return nil, err
		}
	}
	again := false
	reply, err := s.run(ctx, p, "put_flow", func(repeated bool) []any {
		again = repeated
		return args
	})
	if err != nil {
		return nil, err
	}
	outcomes, err := list(reply, len(puts))
	if err != nil {
		return nil, err
	}
	for i, one := range puts {
		if text(outcomes[i]) == "ok" {
			continue
		}
		if again {
			change := one.change
			one.maybe = &change
		}
		conflicting = append(conflicting, one)
	}
	return conflicting, nil
}
