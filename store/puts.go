package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// put is one definition on its way into Redis.
type put struct {
	flow   DataFlow
	def    string
	source string
	seen   *storedFlow // what was there at the last look, nil for no such flow
	change FlowChange  // what has to be done about that, and in the end what was done
	maybe  *FlowChange // what a call whose answer was lost may have done
}

func (s *Store) newPut(flow DataFlow, source string) (*put, error) {
	flow = flow.WithDefaults()
	if err := s.validate(flow); err != nil {
		return nil, err
	}
	def, err := json.Marshal(flow)
	if err != nil {
		return nil, fmt.Errorf("encode flow %s: %w", flow.Name, err)
	}
	return &put{flow: flow, def: string(def), source: source}, nil
}

// validate is DataFlow.Validate, and refuses what this deployment cannot do: a script sees the runs of one partition, and so can
// bound the runs that share a key only where there is no other.
func (s *Store) validate(flow DataFlow) error {
	var invalid InvalidError
	if err := flow.Validate(); err != nil && !errors.As(err, &invalid) {
		return err
	}
	if flow.Concurrency != nil && s.cfg.Partitions > 1 {
		invalid.add("concurrency", "key "+flow.Concurrency.Key, fmt.Sprintf("leaving it out where redis.partitions is above 1; it is %d", s.cfg.Partitions))
	}
	return invalid.orNil()
}

func (s *Store) newPuts(source string, flows []DataFlow) ([]*put, error) {
	var wrong InvalidError
	_ = errors.As(CheckSource(source), &wrong)
	puts := make([]*put, len(flows))
	first := make(map[FlowRef]int, len(flows))
	for i, flow := range flows {
		var err error
		var invalid InvalidError
		switch puts[i], err = s.newPut(flow, source); {
		case errors.As(err, &invalid):
			for _, field := range invalid {
				field.Field = strings.TrimSuffix(fmt.Sprintf("flows[%d].%s", i, field.Field), ".")
				wrong = append(wrong, field)
			}
			continue
		case err != nil:
			return nil, err
		}
		ref := FlowRef{puts[i].flow.Group, puts[i].flow.Name}
		if earlier, taken := first[ref]; taken {
			wrong.add(fmt.Sprintf("flows[%d].name", i), fmt.Sprintf("%s, as in flows[%d]", ref.Name, earlier), "each name once in a group")
		}
		first[ref] = i
	}
	return puts, wrong.orNil()
}

func changesOf(puts []*put) []FlowChange {
	changes := make([]FlowChange, len(puts))
	for i, one := range puts {
		changes[i] = one.change
	}
	return changes
}

// arguments appends what the script takes of one flow.
func (one *put) arguments(args []any, clock func() (time.Time, error)) ([]any, error) {
	expected, seen := "", storedFlow{}
	if one.seen != nil {
		seen = *one.seen
		expected = seen.state.head()
	}
	if seen.def == one.def { // only the source differs
		return append(args, one.flow.Name, expected, "", "", "", one.source, "", "", ""), nil
	}
	placed, err := placeFlow(one.flow, seen, one.change.Result, clock)
	if err != nil {
		return nil, err
	}
	rest := ""
	if len(placed.notes) > 0 {
		past := seen.state.past
		past.count(placed.notes)
		packed, err := json.Marshal(past)
		if err != nil {
			return nil, fmt.Errorf("encode state of %s: %w", one.flow.Name, err)
		}
		rest = string(packed)
	}
	return append(args, one.flow.Name, expected, one.def, msText(placed.slot), msText(placed.score), one.source,
		overlapCodes[one.flow.Overlap], rest, packNotes(placed.notes)), nil
}

// look reads what is there of each flow, in one round trip, and compares.
func (s *Store) look(ctx context.Context, p Partition, puts []*put) error {
	names := make([]string, len(puts))
	for i, one := range puts {
		names[i] = one.flow.Name
	}
	var defs, states, sources *redis.SliceCmd
	if _, err := s.redis.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		defs = pipe.HMGet(ctx, s.key(p, "defs"), names...)
		states = pipe.HMGet(ctx, s.key(p, "state"), names...)
		sources = pipe.HMGet(ctx, s.key(p, "sources"), names...)
		return nil
	}); err != nil {
		return translate(err)
	}
	for i, one := range puts {
		one.seen = nil
		if defs.Val()[i] != nil && states.Val()[i] != nil {
			one.seen = &storedFlow{def: text(defs.Val()[i]), source: text(sources.Val()[i])}
			var err error
			if one.seen.state, err = decodeState(text(states.Val()[i])); err != nil {
				return fmt.Errorf("flow %s: %w", one.flow.Name, err)
			}
		}
		if err := one.compare(); err != nil {
			return err
		}
	}
	return nil
}

// compare decides what has to be done.
func (one *put) compare() error {
	one.change = FlowChange{Group: one.flow.Group, Name: one.flow.Name, Result: FlowUnchanged}
	if one.seen == nil {
		one.change.Result = FlowCreated
		return nil
	}
	if one.seen.def != one.def {
		one.change.Result = FlowChanged
		if err := json.Unmarshal([]byte(one.seen.def), &one.seen.flow); err != nil {
			one.seen.flow = DataFlow{} // of a version that is not this one's: it is replaced as a whole
		}
		var err error
		if one.change.Changes, err = diff([]byte(one.seen.def), []byte(one.def)); err != nil {
			return fmt.Errorf("compare flow %s: %w", one.flow.Name, err)
		}
	}
	if one.source != "" && one.source != one.seen.source {
		one.change.Result = FlowChanged
		one.change.Changes = append(one.change.Changes, sourceChange(one.seen.source, one.source))
	}
	return nil
}
