package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/systole-run/systole/store"
)

// Bounds of what a run may leave behind, in bytes.
const (
	MaxText   = 4 << 10  // an error's text, or a message
	MaxCursor = 64 << 10 // a cursor
)

// checkCursor refuses what could not be handed to the next run: an environment variable holds no NUL byte, and JSON no
// invalid UTF-8.
func checkCursor(cursor string) error {
	switch {
	case len(cursor) > MaxCursor:
		return fmt.Errorf("keep cursor: found %d bytes, allowed are %d", len(cursor), MaxCursor)
	case !utf8.ValidString(cursor):
		return errors.New("keep cursor: found invalid UTF-8, allowed is text")
	case strings.ContainsRune(cursor, 0):
		return errors.New("keep cursor: found a NUL byte, allowed is text without one")
	}
	return nil
}

// Failure is the Result of a run that failed for one of store's reasons. It is permanent if err says so.
func Failure(reason string, err error) Result {
	return Result{Err: err, Reason: reason, Permanent: IsPermanent(err)}
}

// Interrupted is the Result of a run that was stopped because ctx ended. Detail says how it went down and may be nil.
func Interrupted(ctx context.Context, detail error) Result {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		cause = ErrTimeout
	}
	err := cause
	if detail != nil && detail.Error() != cause.Error() && detail.Error() != ctx.Err().Error() {
		err = fmt.Errorf("%w: %w", cause, detail)
	}
	return Result{Err: err, Reason: reasonOf(cause)}
}

func reasonOf(cause error) string {
	switch {
	case errors.Is(cause, ErrTimeout):
		return store.ReasonTimeout
	case errors.Is(cause, ErrLeaseLost):
		return store.ReasonLeaseLost
	case errors.Is(cause, ErrCancelled):
		return store.ReasonCancelled
	case errors.Is(cause, ErrDraining), errors.Is(cause, ErrAborted):
		return store.ReasonHandedBack
	}
	return store.ReasonError
}

// MaxErrorOutput bounds what of standard error goes into a run's error. It leaves room for what stands before it within
// MaxText.
const MaxErrorOutput = MaxText - 512

// WithErrorOutput adds the end of what a run wrote to standard error, if it wrote any.
func WithErrorOutput(err error, written string) error {
	if written == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, written)
}

// permanentError marks an error that another attempt would meet again.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks err as one that another attempt would meet again, so that the run is not retried. nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether err, or one that it wraps, was marked by Permanent.
func IsPermanent(err error) bool {
	var permanent permanentError
	return errors.As(err, &permanent)
}

// fixedError is an error whose text was taken once, while the flow's code was still under guard: an Error method may
// panic, or read what another goroutine writes.
type fixedError struct {
	text string
	err  error
}

func (e fixedError) Error() string { return e.text }
func (e fixedError) Unwrap() error { return e.err }

// settled makes a Result safe to keep: bounded texts, a reason beside every error, no cursor from a failed run. A cursor
// that cannot be kept makes the run a failure, since the next one would silently repeat this one's work.
func (r Result) settled() Result {
	r.Message = Clip(r.Message, MaxText)
	if r.Err == nil && r.Cursor != nil {
		r.Err = checkCursor(*r.Cursor)
	}
	if r.Err == nil {
		r.Reason, r.Permanent = "", false
		return r
	}
	// Sprint, unlike a call of Error, survives an Error method that panics.
	r.Err = fixedError{Clip(fmt.Sprint(r.Err), MaxText), r.Err}
	if r.Reason == "" {
		r.Reason = store.ReasonError
	}
	r.Cursor = nil
	return r
}

// Clip gives text as valid UTF-8 of at most limit bytes, marked with … where something was cut off its end.
func Clip(text string, limit int) string {
	const mark = "…"
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= limit {
		return text
	}
	end := max(limit-len(mark), 0)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
