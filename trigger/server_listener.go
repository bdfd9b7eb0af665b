package trigger

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"

	"github.com/systole-run/systole/internal/logkey"
)

// screenedListener puts every connection behind a screen, and TLS, if there is any, behind that.
type screenedListener struct {
	net.Listener
	cfg ServerConfig
	tls atomic.Pointer[serverTLS] // nil: plain
}

// Accept implements net.Listener.
func (l *screenedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	certificates := l.tls.Load()
	if certificates == nil {
		return &screen{Conn: conn, limit: l.cfg.MaxHeaderBytes}, nil
	}
	secured := tls.Server(conn, certificates.Config)
	return &tlsScreen{screen: &screen{Conn: secured, limit: l.cfg.MaxHeaderBytes}, tls: secured, cfg: l.cfg}, nil
}

// tlsScreen is a screen whose connection is encrypted.
type tlsScreen struct {
	*screen
	tls *tls.Conn
	cfg ServerConfig
}

// ConnectionState is asked by net/http before it reads, on the connection's own goroutine, to fill Request.TLS. The
// handshake is done here, with an end to it; if it fails every later use of the connection fails too.
func (s *tlsScreen) ConnectionState() tls.ConnectionState {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ReadHeaderTimeout)
	defer cancel()
	if err := s.tls.HandshakeContext(ctx); err != nil {
		s.cfg.Logger.Debug("TLS handshake failed", logkey.Client, s.RemoteAddr().String(), logkey.Error, err)
	}
	return s.tls.ConnectionState()
}
