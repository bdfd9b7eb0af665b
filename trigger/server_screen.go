package trigger

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// screen is a connection that lets net/http see only heads of requests that checkHead has passed.
//
// Why: net/http takes a request with both Content-Length and Transfer-Encoding by the latter, and drops the latter from
// HTTP/1.0 requests, so that a proxy in front which decides otherwise sees other requests than we do; and what it refuses
// by itself it refuses in plain text. The screen has no such choice to make: with Transfer-Encoding refused, a request is
// its head and Content-Length bytes.
//
// A bad head is replaced by one of our own, and the stream ends there. So the refusal takes the usual way through the
// handler, after the answers to earlier requests on the connection; see refused.
type screen struct {
	net.Conn
	limit int // bytes of a head

	// Only Read uses these, and net/http never reads twice at a time.
	buffer  []byte // read ahead; starts within a head that is not complete, or with passable bytes
	pass    int    // bytes of buffer that may be passed on
	body    int64  // bytes of the current body that have not been read yet
	ended   bool
	counted int // heads passed on

	mu        sync.Mutex
	refusal   *Problem
	refusedAt int // which request it is about
	handled   int // requests that reached the handler
}

// substitute stands in for the head of a refused request.
const substitute = "GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n"

// Read implements net.Conn. An error, such as a deadline, leaves what was read of a head for the next call.
func (s *screen) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for s.pass == 0 {
		switch {
		case s.ended:
			return 0, io.EOF
		case s.body > 0 && len(s.buffer) == 0:
			return s.readBody(p)
		case s.body > 0:
			s.pass = int(min(s.body, int64(len(s.buffer))))
			s.body -= int64(s.pass)
		default:
			if err := s.readHead(); err != nil {
				return 0, err
			}
		}
	}
	n := copy(p, s.buffer[:s.pass])
	s.buffer, s.pass = s.buffer[n:], s.pass-n
	if len(s.buffer) == 0 {
		s.buffer = nil // an idle connection keeps no memory
	}
	return n, nil
}

func (s *screen) readBody(p []byte) (int, error) {
	if int64(len(p)) > s.body {
		p = p[:s.body]
	}
	n, err := s.Conn.Read(p)
	s.body -= int64(n)
	return n, err
}

// readHead reads on until there is a whole head, and decides about it.
func (s *screen) readHead() error {
	for {
		if s.counted > 0 && len(s.buffer) >= 2 && string(s.buffer[:2]) == "\r\n" {
			s.buffer = s.buffer[2:] // some old clients send a line end after a body (RFC 9112, section 2.2)
			continue
		}
		size, done := headSize(s.buffer)
		if done && size <= s.limit {
			s.decide(size)
			return nil
		}
		if len(s.buffer) > s.limit {
			s.refuse(errHeadTooLarge)
			return nil
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

func (s *screen) fill() error {
	const room = 2048 // most heads need less
	s.buffer = slices.Grow(s.buffer, room)
	n, err := s.Conn.Read(s.buffer[len(s.buffer):cap(s.buffer)])
	s.buffer = s.buffer[:len(s.buffer)+n]
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) && len(s.buffer) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *screen) decide(size int) {
	length, refusal := checkHead(s.buffer[:size])
	if refusal != nil {
		s.refuse(refusal)
		return
	}
	s.counted++
	s.pass, s.body = size, length
}

func (s *screen) refuse(refusal *Problem) {
	s.counted++
	s.buffer, s.pass, s.ended = []byte(substitute), len(substitute), true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal, s.refusedAt = refusal, s.counted
}

// lingerTime and lingerBytes bound how long a refused client is listened to after the answer: closing at once, with its
// bytes unread, could make TCP throw the answer away.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// Close implements net.Conn.
func (s *screen) Close() error {
	s.mu.Lock()
	linger := s.refusal != nil
	s.mu.Unlock()
	if linger && s.CloseWrite() == nil && s.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, s.Conn, lingerBytes)
	}
	return s.Conn.Close()
}

// CloseWrite lets net/http end its own refusals as gently.
func (s *screen) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

type screenKey struct{}

// withScreen puts the connection's screen into the context of its requests.
func withScreen(ctx context.Context, conn net.Conn) context.Context {
	switch conn := conn.(type) {
	case *screen:
		return context.WithValue(ctx, screenKey{}, conn)
	case *tlsScreen:
		return context.WithValue(ctx, screenKey{}, conn.screen)
	}
	return ctx
}

// refused says why the request is to be refused, or gives nil. It is called once for each request of a connection, in
// their order: a client may send the next, bad request while an earlier, good one is still being answered.
func refused(ctx context.Context) *Problem {
	s, ok := ctx.Value(screenKey{}).(*screen)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handled++; s.refusal != nil && s.handled == s.refusedAt {
		return s.refusal
	}
	return nil
}
