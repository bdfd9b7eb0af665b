package executor

import (
	"sync"
	"time"
)

// Lease is until when a worker holds an occurrence, as far as it knows: a time that moves with each renewal. It is safe
// for concurrent use.
type Lease struct {
	mu    sync.Mutex
	until time.Time
	moved chan struct{} // closed when until moves
}

// NewLease gives a Lease until a time of the local clock.
func NewLease(until time.Time) *Lease { return &Lease{until: until, moved: make(chan struct{})} }

// Extend moves the end.
func (l *Lease) Extend(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
	close(l.moved)
	l.moved = make(chan struct{})
}

// Until gives the end, and a channel that is closed when that has moved. A nil Lease never ends, and its end never moves.
func (l *Lease) Until() (until time.Time, moved <-chan struct{}) {
	if l == nil {
		return time.Time{}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until, l.moved
}
