package trigger

import (
	"sync"
	"time"
)

// maxIdentities is how many messages a follower remembers. One that is forgotten may be handed over twice.
const maxIdentities = 8192

// identity is what tells stored messages apart, also across a recreated stream.
type identity struct {
	seq uint64
	at  int64
}

// identities remembers the last messages that were seen, on either way. Safe for concurrent use.
type identities struct {
	mu    sync.Mutex
	known map[identity]struct{}
	ring  []identity
	next  int
}

func newIdentities() *identities {
	return &identities{known: make(map[identity]struct{})}
}

// add reports whether the message is new.
func (s *identities) add(seq uint64, at time.Time) bool {
	key := identity{seq, at.UnixNano()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.known[key]; known {
		return false
	}
	if len(s.ring) < maxIdentities {
		s.ring = append(s.ring, key)
	} else {
		delete(s.known, s.ring[s.next])
		s.ring[s.next] = key
		s.next = (s.next + 1) % maxIdentities
	}
	s.known[key] = struct{}{}
	return true
}
