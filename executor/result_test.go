package executor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

func TestInterruptedTellsWhyTheContextEnded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cause  error
		reason string
	}{
		{executor.ErrTimeout, store.ReasonTimeout},
		{context.DeadlineExceeded, store.ReasonTimeout},
		{executor.ErrLeaseLost, store.ReasonLeaseLost},
		{fmt.Errorf("renewing: %w", executor.ErrLeaseLost), store.ReasonLeaseLost},
		{executor.ErrDraining, store.ReasonHandedBack},
		{errors.New("something else"), store.ReasonError},
	} {
		t.Run(c.cause.Error(), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(c.cause)
			detail := errors.New("closing the file")
			got := executor.Interrupted(ctx, detail)
			if got.Reason != c.reason || got.Permanent || !errors.Is(got.Err, detail) {
				t.Errorf("got %+v", got)
			}
			// A flow that only hands its context's error back adds nothing to the message.
			if a, b := executor.Interrupted(ctx, ctx.Err()).Err, executor.Interrupted(ctx, nil).Err; a.Error() != b.Error() {
				t.Errorf("got %q, want %q", a, b)
			}
		})
	}
}

func TestPermanentIsSeenThroughWrapping(t *testing.T) {
	t.Parallel()
	cause := errors.New("no such table")
	err := fmt.Errorf("query: %w", executor.Permanent(cause))
	if !executor.IsPermanent(err) || !errors.Is(err, cause) || err.Error() != "query: no such table" {
		t.Errorf("got %v", err)
	}
	if executor.IsPermanent(cause) || executor.Permanent(nil) != nil {
		t.Error("an unmarked error counts as permanent")
	}
	if got := executor.Failure(store.ReasonError, err); !got.Permanent {
		t.Errorf("got %+v", got)
	}
}

func FuzzClipGivesBoundedValidText(f *testing.F) {
	f.Add("é€\xff", 4)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 3 + (limit&0xff+256)%256
		if got := executor.Clip(text, limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("Clip(%q, %d) = %q", text, limit, got)
		}
	})
}
