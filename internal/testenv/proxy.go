package testenv

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a server and does to their TCP connections what networks do. It may be used from
// several goroutines.
type Proxy struct {
	Addr string // host:port that clients connect to

	target   string
	listener net.Listener

	mu        sync.Mutex
	conns     map[net.Conn]struct{}
	cutMatch  []byte        // lower case; nil: nothing is to be cut
	cut       chan struct{} // closed when that has happened
	delay     time.Duration
	blackhole chan struct{} // closed when the hole is; nil: there is none
	closed    bool
}

// StartProxy starts a proxy before target (host:port). It ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), target: target, listener: listener, conns: map[net.Conn]struct{}{}}
	var serving sync.WaitGroup
	serving.Go(func() { p.serve(&serving) })
	t.Cleanup(func() {
		_ = listener.Close()
		p.shut()
		serving.Wait()
	})
	return p
}

// Cut lets the next request that contains match (in any case; "" is any request) through to the server, throws the
// answer away and closes that connection: the caller cannot know whether the request was carried out. The channel is
// closed when that has happened.
func (p *Proxy) Cut(match string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutMatch, p.cut = []byte(strings.ToLower(match)), make(chan struct{})
	return p.cut
}

// Delay holds each answer back for d; 0 ends that.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Blackhole stops all traffic, with on, while connections stay open, as a broken link does; without, what was held up
// goes through.
func (p *Proxy) Blackhole(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.blackhole == nil:
		p.blackhole = make(chan struct{})
	case !on && p.blackhole != nil:
		close(p.blackhole)
		p.blackhole = nil
	}
}

// Sever closes all connections; new ones are accepted.
func (p *Proxy) Sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// shut closes everything for good.
func (p *Proxy) shut() {
	p.Blackhole(false)
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Sever()
}

func (p *Proxy) serve(serving *sync.WaitGroup) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close() // as a server that is down refuses
			continue
		}
		l := &link{proxy: p, client: client, server: server}
		if !p.add(client, server) {
			l.close()
			return
		}
		serving.Go(l.requests)
		serving.Go(l.answers)
	}
}

func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		p.conns[conn] = struct{}{}
	}
	return !p.closed
}

// wait blocks while traffic is stopped, and tells how long an answer is to be held back.
func (p *Proxy) wait() time.Duration {
	for {
		p.mu.Lock()
		hole, delay := p.blackhole, p.delay
		p.mu.Unlock()
		if hole == nil {
			return delay
		}
		<-hole
	}
}

// cuts reports, once, whether the answer to this request is the one to throw away, and gives what to close then.
func (p *Proxy) cuts(request []byte) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cutMatch == nil || !bytes.Contains(bytes.ToLower(request), p.cutMatch) {
		return nil
	}
	p.cutMatch = nil
	return p.cut
}

// link is one client's connection and the one to the server that belongs to it.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu     sync.Mutex
	doomed chan struct{} // set when the answer that comes next is to be thrown away
}

func (l *link) requests() {
	l.pump(l.client, l.server, func(data []byte) bool {
		l.proxy.wait()
		if cut := l.proxy.cuts(data); cut != nil {
			l.mu.Lock()
			l.doomed = cut
			l.mu.Unlock()
		}
		return true
	})
}

func (l *link) answers() {
	l.pump(l.server, l.client, func([]byte) bool {
		l.mu.Lock()
		doomed := l.doomed
		l.mu.Unlock()
		if doomed != nil {
			close(doomed)
			return false
		}
		if delay := l.proxy.wait(); delay > 0 {
			<-time.After(delay)
		}
		return true
	})
}

// pump carries bytes until one side closes or pass says no.
func (l *link) pump(from io.Reader, to io.Writer, pass func([]byte) bool) {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && pass(buffer[:n]) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		} else if n > 0 {
			return
		}
		if err != nil {
			return
		}
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.conns, l.client)
	delete(l.proxy.conns, l.server)
}
