package trigger

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// conns bounds how many connections a server has: each takes memory, some 25 KB and twice that with TLS, and anybody can open
// some. Beyond the bound, each new one takes the place of the one that has been at rest for the longest: that waits for
// its first request or its next. Where all of them are at work, it is closed itself. So whoever opens thousands and leaves
// them at that keeps nobody out. Safe for concurrent use.
type conns struct {
	most int

	mu      sync.Mutex
	open    map[net.Conn]*list.Element // of resting; nil: it is at work
	resting *list.List                 // of net.Conn, the longest at the front
}

func newConns(most int) *conns {
	return &conns{most: most, open: make(map[net.Conn]*list.Element), resting: list.New()}
}

// changed is told by net/http of each connection as it comes, works, rests and goes.
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.open[conn]; element != nil {
		c.resting.Remove(element)
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.open[conn] = c.resting.PushBack(conn)
	case http.StateActive:
		c.open[conn] = nil
	default:
		delete(c.open, conn)
	}
	if state == http.StateNew && len(c.open) > c.most {
		longest := c.resting.Remove(c.resting.Front()).(net.Conn)
		delete(c.open, longest)
		go longest.Close() // which may say goodbye first; net/http notices by itself
	}
}
