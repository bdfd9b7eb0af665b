package store

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"
)

// Defaults of a retry policy that leaves them out.
const (
	DefaultRetryInitial = 10 * time.Second
	DefaultRetryFactor  = 2.0
	DefaultRetryMax     = 10 * time.Minute
)

// Bounds of a retry policy.
const (
	maxRetryAttempts = 100
	maxRetryWait     = 7 * 24 * time.Hour
	maxRetryFactor   = 100
)

func (r Retry) withDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 1
	}
	if r.Initial == 0 {
		r.Initial = Duration(DefaultRetryInitial)
	}
	if r.Factor == 0 {
		r.Factor = DefaultRetryFactor
	}
	if r.Max == 0 {
		r.Max = max(Duration(DefaultRetryMax), r.Initial)
	}
	return r
}

func (r Retry) validate(invalid *InvalidError) {
	if r.Attempts < 1 || r.Attempts > maxRetryAttempts {
		invalid.add("retry.attempts", fmt.Sprint(r.Attempts), fmt.Sprintf("1 to %d attempts in all, such as 3", maxRetryAttempts))
	}
	if r.Initial < 0 || time.Duration(r.Initial) > maxRetryWait {
		invalid.add("retry.initial", r.Initial.String(), "a duration above 0 and up to 168h, such as 10s")
	}
	if r.Factor < 1 || r.Factor > maxRetryFactor {
		invalid.add("retry.factor", fmt.Sprint(r.Factor), fmt.Sprintf("a number from 1 to %d, such as 2", maxRetryFactor))
	}
	if r.Max < r.Initial || time.Duration(r.Max) > maxRetryWait {
		invalid.add("retry.max", r.Max.String(), "a duration from retry.initial up to 168h, such as 10m")
	}
	if r.Jitter < 0 || r.Jitter > 1 {
		invalid.add("retry.jitter", fmt.Sprint(r.Jitter), "a number from 0 to 1, such as 0.2")
	}
}

// Wait is how long after a failed attempt the next one is due: Initial, growing by Factor with each failure and cut at Max,
// then spread by Jitter up and down. failures counts those before this one. The spread is read from seed, and not drawn, so
// that writing the same end twice gives the same time.
func (r Retry) Wait(failures int, seed string) time.Duration {
	r = r.withDefaults()
	wait := math.Min(float64(r.Initial)*math.Pow(r.Factor, float64(failures)), float64(r.Max))
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(seed))
	spread := float64(hash.Sum64()%2001)/1000 - 1 // -1 to 1
	return time.Duration(wait * (1 + r.Jitter*spread)).Truncate(time.Millisecond)
}
