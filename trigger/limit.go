package trigger

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients is how many clients the limiter remembers.
const maxClients = 4096

// limiter bounds the rate of each client. Its memory is bounded too: beyond maxClients the one that has been quiet for
// the longest is forgotten, and starts anew with a full burst. A client is an IPv4 address or an IPv6 /64, which is what
// one subscriber gets.
type limiter struct {
	limit rate.Limit
	burst int

	mu      sync.Mutex
	clients map[netip.Prefix]*list.Element // of *bucket
	recent  *list.List                     // the latest at the front
}

type bucket struct {
	client netip.Prefix
	tokens *rate.Limiter
}

func newLimiter(limit rate.Limit, burst int) *limiter {
	return &limiter{limit: limit, burst: burst, clients: make(map[netip.Prefix]*list.Element), recent: list.New()}
}

// take counts one request. If it is one too many, ok is false and wait says when the next one may come.
func (l *limiter) take(client netip.Addr, now time.Time) (wait time.Duration, ok bool) {
	if l.limit == rate.Inf {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	reservation := l.bucket(limitKey(client)).ReserveN(now, 1)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
		return wait, false
	}
	return 0, true
}

func (l *limiter) bucket(client netip.Prefix) *rate.Limiter {
	if element, known := l.clients[client]; known {
		l.recent.MoveToFront(element)
		return element.Value.(*bucket).tokens
	}
	if l.recent.Len() >= maxClients {
		oldest := l.recent.Remove(l.recent.Back()).(*bucket)
		delete(l.clients, oldest.client)
	}
	fresh := &bucket{client: client, tokens: rate.NewLimiter(l.limit, l.burst)}
	l.clients[client] = l.recent.PushFront(fresh)
	return fresh.tokens
}

// limitKey names the client of an address. All clients whose address is unknown share the zero key.
func limitKey(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	key, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return key
}
