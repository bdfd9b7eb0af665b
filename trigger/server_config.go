package trigger

import (
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Defaults of a ServerConfig.
const (
	DefaultReadHeaderTimeout = 5 * time.Second
	DefaultReadTimeout       = 15 * time.Second
	DefaultWriteTimeout      = 30 * time.Second
	DefaultIdleTimeout       = 60 * time.Second
	DefaultShutdownTimeout   = 10 * time.Second
	DefaultMaxHeaderBytes    = 16 << 10
	DefaultMaxConns          = 2048
)

// ServerConfig configures a Server. Zero fields take their defaults; Listen has none.
type ServerConfig struct {
	Listen            string        // host:port; port 0 takes a free one
	CertFile, KeyFile string        // PEM files, looked at again every ten seconds; with both of them the server speaks TLS 1.2 and newer, with neither plain HTTP
	ClientCerts       bool          // ask clients for a certificate, which they need not have and which MTLSConfig checks
	ReadHeaderTimeout time.Duration // for the head of a request, and for a TLS handshake
	ReadTimeout       time.Duration // for a whole request
	WriteTimeout      time.Duration // for an answer; handlers that take longer extend it with http.ResponseController
	IdleTimeout       time.Duration // until the next request of a connection has its head
	ShutdownTimeout   time.Duration // for requests in progress when the server ends
	MaxHeaderBytes    int           // of the head of a request, request line included
	MaxConns          int           // connections at a time; a further one takes the place of one at rest
	Logger            *slog.Logger  // nil: no logs
}

func (c ServerConfig) withDefaults() ServerConfig {
	orDefault(&c.ReadHeaderTimeout, DefaultReadHeaderTimeout)
	orDefault(&c.ReadTimeout, DefaultReadTimeout)
	orDefault(&c.WriteTimeout, DefaultWriteTimeout)
	orDefault(&c.IdleTimeout, DefaultIdleTimeout)
	orDefault(&c.ShutdownTimeout, DefaultShutdownTimeout)
	orDefault(&c.MaxHeaderBytes, DefaultMaxHeaderBytes)
	orDefault(&c.MaxConns, DefaultMaxConns)
	c.Logger = orDiscard(c.Logger)
	return c
}

// Validate reports everything that is wrong with the configuration, as an InvalidError. Files are not looked at.
func (c ServerConfig) Validate() error {
	c = c.withDefaults()
	var invalid InvalidError
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		invalid.add("listen", quote(c.Listen), "host:port, such as 127.0.0.1:8080 or :0")
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		invalid.add("tls", "one file", "both a certificate and its key, or neither")
	}
	for _, timeout := range []struct {
		field string
		value time.Duration
	}{
		{"read_header_timeout", c.ReadHeaderTimeout},
		{"read_timeout", c.ReadTimeout},
		{"write_timeout", c.WriteTimeout},
		{"idle_timeout", c.IdleTimeout},
		{"shutdown_timeout", c.ShutdownTimeout},
	} {
		if timeout.value < 0 {
			invalid.add(timeout.field, timeout.value.String(), "a duration above 0")
		}
	}
	if c.MaxHeaderBytes < minHeaderBytes {
		invalid.add("max_header_bytes", fmt.Sprint(c.MaxHeaderBytes), fmt.Sprintf("%d or more", minHeaderBytes))
	}
	if c.MaxConns < 1 {
		invalid.add("max_conns", fmt.Sprint(c.MaxConns), "1 or more")
	}
	return invalid.orNil()
}
