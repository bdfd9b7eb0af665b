package store

import (
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// NewWithEdit makes stores in one of whose scripts one piece of text, which must be there once, is replaced.
func NewWithEdit(script, old, new string) func(redis.UniversalClient, Config) (*Store, error) {
	return func(client redis.UniversalClient, cfg Config) (*Store, error) {
		s, err := New(client, cfg)
		if err != nil {
			return nil, err
		}
		lib, err := luaFiles.ReadFile("lua/lib.lua")
		if err != nil {
			return nil, err
		}
		body, err := luaFiles.ReadFile("lua/" + script + ".lua")
		if err != nil {
			return nil, err
		}
		source := string(lib) + string(body)
		if n := strings.Count(source, old); n != 1 {
			return nil, fmt.Errorf("%q is in %s.lua %d times, want once", old, script, n)
		}
		s.scripts[script] = redis.NewScript(strings.Replace(source, old, new, 1))
		return s, nil
	}
}

// Keys are the keys of a partition, as every script declares them.
func (s *Store) Keys(p Partition) []string { return s.keys(p) }

// PartitionOf is where a flow lives.
func (s *Store) PartitionOf(group, name string) Partition { return s.partitionOf(group, name) }

// Diff compares two definitions in JSON.
var Diff = diff
