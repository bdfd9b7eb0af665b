package trigger

import (
	"fmt"
	"regexp"
)

// Wake tells workers that the group may have something to claim. It is a hint, and may be lost.
func (e *Events) Wake(group string) error {
	if !ValidName(group) {
		return fmt.Errorf("wake workers: %w", InvalidError{{Field: "group", Found: quote(group), Allowed: nameAllowed}})
	}
	if err := e.nc.Publish(e.subjects.Wake(group), nil); err != nil {
		return fmt.Errorf("wake workers: %w: %w", ErrUnavailable, err)
	}
	return nil
}

// Cancel tells the workers of a group that a run is to be cancelled. It is a hint, and may be lost: what counts is what
// the store says when a lease is renewed. runID is 1 to MaxRunID visible ASCII characters. It gives an InvalidError for
// a group or id that is none, and ErrUnavailable where the connection is closed.
func (e *Events) Cancel(group, runID string) error {
	var invalid InvalidError
	if !ValidName(group) {
		invalid.add("group", quote(group), nameAllowed)
	}
	if !validRunID(runID) {
		invalid.add("run_id", quote(runID), runIDAllowed)
	}
	if err := invalid.orNil(); err != nil {
		return fmt.Errorf("hint to cancel run: %w", err)
	}
	if err := e.nc.Publish(e.subjects.Cancel(group), []byte(runID)); err != nil {
		return fmt.Errorf("hint to cancel run: %w: %w", ErrUnavailable, err)
	}
	return nil
}

// MaxRunID bounds the id of a run in a hint, in bytes: a flow's name, a time and a number fit twice over.
const MaxRunID = 200

var (
	runIDPattern = regexp.MustCompile(fmt.Sprintf(`^[!-~]{1,%d}$`, MaxRunID))
	runIDAllowed = fmt.Sprintf("the id of a run: 1 to %d visible ASCII characters", MaxRunID)
)

func validRunID(s string) bool { return runIDPattern.MatchString(s) }
