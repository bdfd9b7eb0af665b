package worker

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/systole-run/systole/store"
)

// lane is the worker's view of one partition: whether there may be something to claim there, and when to look again.
type lane struct {
	claimer *store.Claimer
	ready   bool
	away    bool      // its last claim failed, and it is not claimed from until it answers
	again   time.Time // when a lease of the partition may have expired; zero for none
}

// lanes are the partitions in which something may be claimed. They are served in turn, so that a flooded group does
// not starve another.
type lanes struct {
	store  *store.Store
	worker string
	lease  time.Duration

	mu      sync.Mutex
	lanes   map[store.Partition]*lane
	order   []store.Partition
	changed chan struct{} // holds one signal: something became ready
}

func newLanes(st *store.Store, worker string, lease time.Duration) *lanes {
	return &lanes{store: st, worker: worker, lease: lease, lanes: make(map[store.Partition]*lane), changed: make(chan struct{}, 1)}
}

// wake marks partitions as ready.
func (l *lanes) wake(partitions ...store.Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range partitions {
		if l.lanes[p] == nil {
			l.lanes[p] = &lane{claimer: l.store.Claimer(p, l.worker, l.lease)}
			l.order = append(l.order, p)
		}
		l.lanes[p].ready = true
	}
	l.signal()
}

func (l *lanes) signal() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// take gives the next partition to claim from, or how long it is until one may have to be looked at (negative for
// never). ready counts the partitions that wait, the given one included.
func (l *lanes) take(now time.Time) (p store.Partition, taken *lane, ready int, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait = -1
	at := -1
	for i, candidate := range l.order {
		lane := l.lanes[candidate]
		if lane.away {
			continue
		}
		if !lane.again.IsZero() && !lane.again.After(now) {
			lane.ready = true
		}
		switch {
		case lane.ready:
			ready++
			if at < 0 {
				at = i
			}
		case !lane.again.IsZero():
			if until := lane.again.Sub(now); wait < 0 || until < wait {
				wait = until
			}
		}
	}
	if at < 0 {
		return store.Partition{}, nil, 0, wait
	}
	p = l.order[at]
	l.order = append(append(l.order[:at:at], l.order[at+1:]...), p) // to the end of the line
	taken = l.lanes[p]
	taken.ready, taken.again = false, time.Time{}
	return p, taken, ready, wait
}

// leave says what a claim from a partition found. One in which nothing is left to look for is forgotten, so that groups
// that come and go leave nothing behind.
func (l *lanes) leave(p store.Partition, claimed store.Claimed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lane := l.lanes[p]
	lane.ready = lane.ready || claimed.More
	if claimed.NextExpiry >= 0 {
		// Workers that look at the same lease spread out a little, so that not all of them ask at the same moment.
		lane.again = time.Now().Add(claimed.NextExpiry + rand.N(300*time.Millisecond))
	}
	if !lane.ready && lane.again.IsZero() {
		delete(l.lanes, p)
		for i, other := range l.order {
			if other == p {
				l.order = append(l.order[:i:i], l.order[i+1:]...)
				break
			}
		}
	}
}

// setAside takes a partition whose claim failed out of the line, until it is back.
func (l *lanes) setAside(p store.Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lanes[p].away = true
}

// back says that a partition that was set aside answers again.
func (l *lanes) back(p store.Partition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lanes[p].away, l.lanes[p].ready = false, true
	l.signal()
}
