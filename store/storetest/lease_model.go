package storetest

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/anishathalye/porcupine"
)

// step is what a client asked of one flow.
type step struct {
	kind  string // one of the constants below
	flow  string
	token uint64        // of the claim that is written with; 0 for a claim
	lease time.Duration // of a renewal or a claim
	call  time.Time
}

// Kinds of steps.
const (
	stepClaim    = "claim"    // an occurrence was given to the client
	stepGiveUp   = "give up"  // a claim ended an occurrence that had crashed too often
	stepRenew    = "renew"    // the lease is to be extended
	stepComplete = "complete" // the run has ended
	stepRelease  = "release"  // the occurrence is handed back
)

// answer is what the store said.
type answer struct {
	accepted   bool      // false: the token is not the current one
	token      uint64    // of a claim
	occurrence string    // of a claim, or given up
	began      time.Time // of the lease, by Redis' clock
	final      bool      // no other attempt at the occurrence follows
	repeated   bool      // the first answer was lost
	returned   time.Time
}

// flowLease is all that the rules know of a flow. Tests and Redis share one machine and so one clock.
type flowLease struct {
	token      uint64    // the newest that was given
	held       bool      // under that token, as far as anybody was told
	occurrence string    // that is held
	until      time.Time // the lease has not expired before this
	over       *ended    // occurrences that were completed
}

func (f flowLease) String() string {
	if !f.held {
		return fmt.Sprintf("token %d, held by nobody", f.token)
	}
	return fmt.Sprintf("token %d, which holds %s until %s or longer", f.token, f.occurrence, clockText(f.until))
}

// ended is an immutable set. sum tells two of them apart, whatever the order in which they came about.
type ended struct {
	occurrence string
	sum        uint64
	before     *ended
}

func (e *ended) has(occurrence string) bool {
	for ; e != nil; e = e.before {
		if e.occurrence == occurrence {
			return true
		}
	}
	return false
}

func (e *ended) with(occurrence string) *ended {
	hash := fnv.New64a()
	hash.Write([]byte(occurrence))
	return &ended{occurrence: occurrence, sum: e.digest() + hash.Sum64(), before: e}
}

func (e *ended) digest() uint64 {
	if e == nil {
		return 0
	}
	return e.sum
}

// leaseModel is what a flow's lease promises to clients that know nothing of each other, as rules for one step at a time.
var leaseModel = porcupine.Model{
	Partition: byFlow,
	Init:      func() any { return flowLease{} },
	Step: func(state, input, output any) (bool, any) {
		return state.(flowLease).after(input.(step), output.(answer))
	},
	Equal: func(a, b any) bool {
		one, other := a.(flowLease), b.(flowLease)
		same := one.over.digest() == other.over.digest()
		one.over, other.over = nil, nil
		return same && one == other
	},
	DescribeOperation: func(input, output any) string { return describe(input.(step), output.(answer)) },
}

func byFlow(history []porcupine.Operation) [][]porcupine.Operation {
	flows := map[string][]porcupine.Operation{}
	for _, op := range history {
		flow := op.Input.(step).flow
		flows[flow] = append(flows[flow], op)
	}
	var parts [][]porcupine.Operation
	for _, part := range flows {
		parts = append(parts, part)
	}
	return parts
}

// after reports whether the store may say this now, and what holds afterwards.
func (f flowLease) after(in step, out answer) (bool, flowLease) {
	switch {
	case in.kind == stepClaim:
		return f.claimed(in, out)
	case in.kind == stepGiveUp:
		// The lease had expired, or nobody was told of it.
		if f.over.has(out.occurrence) || f.held && (out.returned.Before(f.until) || out.occurrence != f.occurrence) {
			return false, f
		}
		f.held, f.over = false, f.over.with(out.occurrence)
		return true, f
	case !out.accepted:
		return f.refused(in, out)
	case !f.held || in.token != f.token:
		return false, f // a stale token writes nothing
	case in.kind == stepRenew: // leases are kept in whole milliseconds
		if until := in.call.Truncate(time.Millisecond).Add(in.lease); until.After(f.until) {
			f.until = until
		}
		return true, f
	}
	if out.final {
		f.over = f.over.with(f.occurrence)
	}
	f.held = false
	return true, f
}

// claimed holds a claim against the rules: a higher token than any before, no occurrence that is over, and of one that is held,
// only that one and only once its lease has expired.
func (f flowLease) claimed(in step, out answer) (bool, flowLease) {
	switch {
	case out.token <= f.token, f.over.has(out.occurrence):
		return false, f
	case f.held && (out.began.Before(f.until) || out.occurrence != f.occurrence):
		return false, f
	}
	f.token, f.held, f.occurrence, f.until = out.token, true, out.occurrence, out.began.Add(in.lease)
	return true, f
}

// refused holds a refusal against the rules. A holder may be refused only once its lease can have expired: then a claim may have
// taken it over that has lost it in turn, before its client was told. Or it has handed back and did not hear of it, and someone has
// taken that up since.
func (f flowLease) refused(in step, out answer) (bool, flowLease) {
	if !f.held || in.token != f.token {
		return true, f
	}
	f.held = false
	return !out.returned.Before(f.until) || in.kind == stepRelease && out.repeated, f
}

func describe(in step, out answer) string {
	took := fmt.Sprintf("%s..%s", clockText(in.call), clockText(out.returned))
	switch in.kind {
	case stepClaim:
		return fmt.Sprintf("%s %s: claim gives token %d for %s at %s", took, in.flow, out.token, out.occurrence, clockText(out.began))
	case stepGiveUp:
		return fmt.Sprintf("%s %s: claim gives up %s", took, in.flow, out.occurrence)
	}
	said := "refused"
	if out.accepted {
		said = "accepted"
	}
	return fmt.Sprintf("%s %s: %s with token %d: %s", took, in.flow, in.kind, in.token, said)
}

func clockText(t time.Time) string { return t.Format("05.000000") }
