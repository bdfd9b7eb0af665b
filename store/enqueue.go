package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// ErrQueueFull says that as many run-nows wait already as Config.MaxQueued allows.
var ErrQueueFull = errors.New("too many run-nows wait")

// RunNow asks for one run of a flow, apart from its schedule.
type RunNow struct {
	Group  string
	Flow   string
	ID     string          // id of the run, flow~suffix; empty to have one made. A known one is not run again.
	Params json.RawMessage // a JSON object, or nil

	occurrence string // that the run attempts once more; empty for one of its own
	attempt    int
	again      string // run whose dead letter this takes up
}

// runIDPattern is a run id: the flow's name, and a suffix that orders a flow's runs by time.
var runIDPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}~[0-9]{16}(-[0-9]{1,20})?$`)

// Enqueue accepts a run-now: the run is pending, and can be read, once this returns. It fails with ErrNotFound for an
// unknown flow, with ErrQueueFull, and with an InvalidError that lists everything in which the parameters differ from the
// schema of the flow; a flow without one takes any object. Repeating it with the same id gives the same answer and one run.
func (s *Store) Enqueue(ctx context.Context, ask RunNow) (runID string, err error) {
	if ask.ID != "" && (!runIDPattern.MatchString(ask.ID) || flowOf(ask.ID) != ask.Flow) {
		return "", InvalidError{{Field: "id", Found: fmt.Sprintf("%.80q", ask.ID), Allowed: "flow~ and 16 digits"}}
	}
	if len(ask.Params) > 0 {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(ask.Params, &object); err != nil || object == nil {
			return "", InvalidError{{Field: "params", Found: fmt.Sprintf("%.80q", ask.Params), Allowed: "a JSON object"}}
		}
	}
	p := s.partitionOf(ask.Group, ask.Flow)
	if err := s.checkParams(ctx, p, ask); err != nil {
		return "", err
	}
	if ask.ID == "" {
		if ask.ID, err = s.newRunID(ctx, p, ask.Flow); err != nil {
			return "", err
		}
	}
	if ask.occurrence == "" {
		ask.occurrence, ask.attempt = ask.ID, 1
	}
	reply, err := s.run(ctx, p, "enqueue",
		always(ask.Flow, ask.ID, string(ask.Params), s.cfg.MaxQueued, ask.occurrence, ask.attempt, ask.again))
	if err != nil {
		return "", err
	}
	items, err := list(reply, 1)
	if err != nil {
		return "", err
	}
	switch text(items[0]) {
	case "unknown":
		return "", fmt.Errorf("flow %s of group %s: %w", ask.Flow, ask.Group, ErrNotFound)
	case "open":
		return "", fmt.Errorf("run %s: %w: its occurrence goes on %s", ask.again, ErrNotEnded, asRun(text(items[1])))
	case "full":
		return "", fmt.Errorf("%w: %d in %s", ErrQueueFull, s.cfg.MaxQueued, p)
	}
	return text(items[len(items)-1]), nil
}

// asRun says as what an occurrence goes on.
func asRun(id string) string {
	if id == "" {
		return "by itself, by the next heartbeat"
	}
	return "as run " + id
}

// newRunID makes the id before the call, so that a call that is repeated because its answer was lost makes one run.
func (s *Store) newRunID(ctx context.Context, p Partition, flow string) (string, error) {
	now, err := s.clock(ctx, p)
	if err != nil {
		return "", err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("%s~%016d-%d", flow, now.UnixMicro(), binary.BigEndian.Uint64(random[:])), nil
}
