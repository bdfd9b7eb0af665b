package trigger

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Bounds of the wait between two attempts at something that failed.
const (
	backoffInitial = 100 * time.Millisecond
	backoffMax     = 5 * time.Second
)

// backoff is the wait after the attempt with this number, counted from 0: doubling, and random by a half so that many
// workers do not come back at the same moment.
func backoff(attempt int) time.Duration { return spread(backoffInitial, backoffMax, attempt) }

func spread(initial, most time.Duration, attempt int) time.Duration {
	wait := most
	if attempt < 16 {
		wait = min(initial<<attempt, most)
	}
	return wait/2 + rand.N(wait/2+1)
}

// pause waits, or gives the error of ctx where that ends first.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func orDiscard(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return logger
}
