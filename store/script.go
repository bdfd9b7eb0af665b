package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// scripts are the operations by name.
type scripts map[string]*redis.Script

func loadScripts() (scripts, error) {
	lib, err := luaFiles.ReadFile("lua/lib.lua")
	if err != nil {
		return nil, err
	}
	entries, err := luaFiles.ReadDir("lua")
	if err != nil {
		return nil, err
	}
	loaded := make(scripts)
	for _, entry := range entries {
		if entry.Name() == "lib.lua" {
			continue
		}
		body, err := luaFiles.ReadFile(path.Join("lua", entry.Name()))
		if err != nil {
			return nil, err
		}
		loaded[strings.TrimSuffix(entry.Name(), ".lua")] = redis.NewScript(string(lib) + string(body))
	}
	return loaded, nil
}

// Bounds of repeating a call while Redis restarts, fails over or cannot be reached. Longer outages are the caller's,
// who alone knows how long the call is worth repeating.
const (
	retryFirst = 20 * time.Millisecond
	retryMax   = 500 * time.Millisecond
	retryFor   = 5 * time.Second
)

// run calls a script on a partition, and repeats the call while the fault may pass. args is asked for the arguments of
// each call, since a repeated one may have to say so.
func (s *Store) run(ctx context.Context, p Partition, name string, args func(repeated bool) []any) (any, error) {
	return s.runKeys(ctx, s.keys(p), name, args)
}

func (s *Store) runKeys(ctx context.Context, keys []string, name string, args func(repeated bool) []any) (any, error) {
	script, ok := s.scripts[name]
	if !ok {
		return nil, fmt.Errorf("no script is called %q", name)
	}
	began := time.Now()
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = retryFirst, retryMax
	repeated := false
	reply, err := backoff.Retry(ctx, func() (any, error) {
		// Run sends the script itself where Redis does not know it yet (NOSCRIPT), as after a restart.
		reply, err := script.Run(ctx, s.redis, keys, args(repeated)...).Result()
		if err != nil && !transient(err) {
			return nil, backoff.Permanent(err)
		}
		repeated = repeated || err != nil
		return reply, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(retryFor))
	if err != nil {
		err = fmt.Errorf("%s: %w", name, translate(err))
	}
	s.cfg.Observe(name, time.Since(began), err)
	return reply, err
}

// always gives the same arguments for every call: the script itself finds out that it is repeated.
func always(args ...any) func(bool) []any { return func(bool) []any { return args } }

// transientPrefixes are the answers of a Redis that restarts, fails over or is busy.
var transientPrefixes = []string{
	"LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "BUSY", "NOREPLICAS", "UNBLOCKED", "MOVED", "ASK",
}

// fullPrefixes are the answers of a Redis that has no memory, or no room on its disk, and has done nothing. That is over once
// somebody sees to it, so a call is not repeated here, but by whoever has time.
var fullPrefixes = []string{"OOM", "MISCONF"}

// transient reports whether the same call may go through soon.
func transient(err error) bool {
	var netErr net.Error
	switch {
	case err == nil, errors.Is(err, redis.Nil), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	return begins(err, transientPrefixes) ||
		strings.Contains(err.Error(), "connection pool timeout") || strings.Contains(err.Error(), "all sentinels")
}

func begins(err error, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(err.Error(), prefix) })
}
