package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrEnded says that a run is final and cannot be cancelled, ErrNotEnded that it is not and cannot be run again.
var (
	ErrEnded    = errors.New("the run has ended")
	ErrNotEnded = errors.New("the run has not ended")
)

// CancelRun asks for a run to be ended, and gives it as it stands afterwards. One that waits is cancelled at once. One in
// progress is flagged: its worker learns of it with the next renewal at the latest, and whoever takes over the lease of a
// worker that is gone ends it instead of running it. A run that succeeds before that has succeeded. It fails with
// ErrNotFound, and with ErrEnded where the run is final; repeating it is harmless.
func (s *Store) CancelRun(ctx context.Context, group, id, reason string) (Run, error) {
	p := s.partitionOf(group, flowOf(id))
	why := "cancelled"
	if reason = cut(reason); reason != "" {
		why = "cancelled: " + reason
	}
	head, err := json.Marshal(struct {
		Status Status `json:"status"`
		Reason string `json:"reason"`
		Error  string `json:"error"`
	}{StatusCancelled, ReasonCancelled, why})
	if err != nil {
		return Run{}, fmt.Errorf("encode reason: %w", err)
	}
	again := false // the first call may have been carried out
	reply, err := s.run(ctx, p, "cancel", func(repeated bool) []any {
		again = repeated
		return []any{id, why, strings.TrimSuffix(string(head), "}")}
	})
	if err != nil {
		return Run{}, err
	}
	items, err := list(reply, 1)
	if err != nil {
		return Run{}, err
	}
	outcome := text(items[0])
	if outcome == "unknown" {
		return Run{}, fmt.Errorf("run %s of group %s: %w", id, group, ErrNotFound)
	}
	run, err := s.Run(ctx, group, id)
	if err != nil {
		return Run{}, err
	}
	if outcome == "ended" && (!again || run.Status != StatusCancelled) {
		return run, fmt.Errorf("run %s: %w: it is %s", id, ErrEnded, run.Status)
	}
	return run, nil
}
