package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxBatch is how many occurrences one script call handles at most, so that no call holds Redis up for long.
const maxBatch = 100

// Config says where the store lives in Redis and how much history it keeps. Zero fields take the default named.
type Config struct {
	Prefix      string        // start of every key; default "systole"
	Partitions  int           // partitions per group, fixed for a deployment; default 1
	RunsPerFlow int           // ended runs kept per flow; default 100
	RunTTL      time.Duration // how long an ended run is kept; default 7 days
	Beats       int           // heartbeats kept per group; default 1,000
	MaxQueued   int           // run-nows that may wait in a partition; default 10,000
	DeadLetters int           // occurrences that failed for good, kept per partition for as long as runs are; default 1,000
	// Observe, if set, is told how long each script call took, retries included, and its error.
	Observe func(script string, took time.Duration, err error)
}

func (c Config) withDefaults() (Config, error) {
	if c.Prefix == "" {
		c.Prefix = "systole"
	}
	for _, field := range []struct {
		name     string
		value    *int
		standard int
	}{
		{"Partitions", &c.Partitions, 1},
		{"RunsPerFlow", &c.RunsPerFlow, 100},
		{"Beats", &c.Beats, 1000},
		{"MaxQueued", &c.MaxQueued, 10000},
		{"DeadLetters", &c.DeadLetters, 1000},
	} {
		if *field.value < 0 {
			return c, fmt.Errorf("store config: %s is %d, allowed is 1 or more", field.name, *field.value)
		}
		if *field.value == 0 {
			*field.value = field.standard
		}
	}
	if c.RunTTL < 0 {
		return c, fmt.Errorf("store config: RunTTL is %s, allowed is a positive duration", c.RunTTL)
	}
	if c.RunTTL == 0 {
		c.RunTTL = 7 * 24 * time.Hour
	}
	if c.Observe == nil {
		c.Observe = func(string, time.Duration, error) {}
	}
	return c, nil
}

// Store is the model's home in Redis. It is safe for concurrent use, and every method is safe to repeat.
type Store struct {
	redis   redis.UniversalClient
	cfg     Config
	scripts scripts
}

// New makes a Store over client, which stays the caller's to close. The client should not retry by itself
// (MaxRetries -1, as Connect sets it): the store repeats calls in a way that takes nothing twice.
func New(client redis.UniversalClient, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	scripts, err := loadScripts()
	if err != nil {
		return nil, err
	}
	return &Store{redis: client, cfg: cfg, scripts: scripts}, nil
}

// Ping reports whether Redis answers.
func (s *Store) Ping(ctx context.Context) error { return translate(s.redis.Ping(ctx).Err()) }

// Now is Redis' clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	now, err := s.redis.Time(ctx).Result()
	return now, translate(err)
}

// translate turns an error of Redis into one of this package's.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.Nil):
		return ErrNotFound
	case errors.Is(err, context.Canceled), transient(err), begins(err, fullPrefixes):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
