package store

import (
	"fmt"
	"hash/fnv"
)

// Partition is one share of a group's flows: what one script call works on.
type Partition struct {
	Group string
	N     int
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Group, p.N) }

// partitionKeys are the keys of a partition in the order in which lua/lib.lua names them.
var partitionKeys = []string{
	"meta", "defs", "names", "state", "due", "queue", "blocked", "leases", "held", "runs", "byflow", "ended", "logs",
	"params", "beats", "beatlog", "draining", "ledger", "cancels", "dead", "deadlog", "sources", "waiting", "open",
	"keyed",
}

// Partitions are all partitions of a group.
func (s *Store) Partitions(group string) []Partition {
	partitions := make([]Partition, s.cfg.Partitions)
	for n := range partitions {
		partitions[n] = Partition{Group: group, N: n}
	}
	return partitions
}

// partitionOf is where a flow lives.
func (s *Store) partitionOf(group, name string) Partition {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name))
	return Partition{Group: group, N: int(hash.Sum32() % uint32(s.cfg.Partitions))}
}

// tag is the common start of a partition's keys; the part in braces decides the Cluster slot.
func (s *Store) tag(p Partition) string { return fmt.Sprintf("%s:{%s}:", s.cfg.Prefix, p) }

func (s *Store) key(p Partition, name string) string { return s.tag(p) + name }

func (s *Store) keys(p Partition) []string {
	tag := s.tag(p)
	keys := make([]string, len(partitionKeys))
	for i, name := range partitionKeys {
		keys[i] = tag + name
	}
	return keys
}

// Keys of the deployment as a whole.
func (s *Store) groupsKey() string     { return s.cfg.Prefix + ":{deployment}:groups" }
func (s *Store) deploymentKey() string { return s.cfg.Prefix + ":{deployment}:meta" }
