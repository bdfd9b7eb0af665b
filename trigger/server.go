package trigger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/systole-run/systole/internal/logkey"
)

// Server serves HTTP/1.1 to clients that may be slow, broken or hostile; the gateway, the console and the metrics
// listener stand on it. Each head of a request passes the screen (see screen) before net/http sees it, every wait for a
// client has an end, there are only so many connections, and a panic of the handler is a 500.
type Server struct {
	cfg      ServerConfig
	listener *screenedListener
	http     *http.Server
}

// NewServer binds the address, so that an error shows at once and Addr is known, and serves nothing until Run.
func NewServer(cfg ServerConfig, handler http.Handler) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure server: %w", err)
	}
	cfg = cfg.withDefaults()
	certificates, err := loadTLS(cfg)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	s := &Server{cfg: cfg, listener: &screenedListener{Listener: listener, cfg: cfg}}
	s.listener.tls.Store(certificates)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // alone: the screen reads no other
	s.http = &http.Server{
		Handler:           s.wrap(handler),
		ReadHeaderTimeout: cfg.ReadHeaderTimeout,
		ReadTimeout:       cfg.ReadTimeout,
		WriteTimeout:      cfg.WriteTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    2 * cfg.MaxHeaderBytes, // the screen refuses first, and better
		ConnContext:       withScreen,
		ConnState:         newConns(cfg.MaxConns).changed,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
		Protocols:         protocols,
		// OPTIONS * is a request like any other, and as little allowed.
		DisableGeneralOptionsHandler: true,
	}
	return s, nil
}

// Addr is the address that the server is bound to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is the server's address as clients on this machine write it, without a path.
func (s *Server) URL() string {
	scheme := "http"
	if s.cfg.CertFile != "" {
		scheme = "https"
	}
	host, port, _ := net.SplitHostPort(s.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Close gives the address back where Run was never called.
func (s *Server) Close() error { return s.http.Close() }

// Run serves until ctx ends. Then it takes no more connections, tells handlers through Closing, gives requests in progress
// ShutdownTimeout to be answered, and ends those that still are not. It can be called once.
func (s *Server) Run(ctx context.Context) error {
	s.http.BaseContext = func(net.Listener) context.Context {
		// A request that has begun is finished: it does not end with ctx, but may ask whether ctx has ended.
		return context.WithValue(context.WithoutCancel(ctx), closingKey{}, ctx)
	}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serve on %s: %w", s.Addr(), err), s.http.Close())
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(limit); err != nil {
		s.cfg.Logger.Warn("requests were cut off at the end of the shutdown timeout", slog.Any(logkey.Error, err))
		_ = s.http.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", s.Addr(), err)
	}
	return nil
}

type closingKey struct{}

// closing ends when the server that serves the request begins to shut down; never on another kind of server.
func closing(ctx context.Context) context.Context {
	if server, ok := ctx.Value(closingKey{}).(context.Context); ok {
		return server
	}
	return context.Background()
}

// Closing is closed when the server that serves a request begins to shut down, so that handlers which take their time can
// come to an end. On a server that is no Server it is nil.
func Closing(ctx context.Context) <-chan struct{} { return closing(ctx).Done() }

// wrap answers what the screen refused, and what the handler could not.
func (s *Server) wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if refusal := refused(r.Context()); refusal != nil {
			s.cfg.Logger.Debug("request refused", logkey.Status, refusal.Status, logkey.Reason, refusal.Detail, logkey.Client, r.RemoteAddr)
			refusal.Write(w, true)
			return
		}
		answer := &answerWriter{ResponseWriter: w}
		defer s.rescue(answer, r)
		handler.ServeHTTP(answer, r)
	})
}

// rescue turns a panic of the handler into an answer.
func (s *Server) rescue(w *answerWriter, r *http.Request) {
	cause := recover()
	switch {
	case cause == nil:
		return
	case cause == http.ErrAbortHandler: //nolint:errorlint // net/http compares it like this too
		panic(cause)
	}
	s.cfg.Logger.Error("handler panicked", logkey.Method, methodClass(r.Method), logkey.Error, cause, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	problemOf(errors.New("handler panicked")).Write(w, true)
}
