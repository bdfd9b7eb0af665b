package webhook

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/systole-run/systole/executor"
)

// maxClients bounds the clients with certificates of their own; beyond it, any of them is forgotten, with its connections.
const maxClients = 100

// clients are one HTTP client for each set of certificates, so that a connection that proved to be one flow's is never
// another's. Certificates that were exchanged make another set.
type clients struct {
	cfg   Config
	plain *http.Client

	mu    sync.Mutex
	bySet map[[sha256.Size]byte]*http.Client
}

func newClients(cfg Config) *clients {
	return &clients{cfg: cfg, plain: newClient(cfg, cfg.TLS), bySet: make(map[[sha256.Size]byte]*http.Client)}
}

// of gives the client for a task. Its errors are permanent and tell nothing of a key.
func (c *clients) of(task executor.Task) (*http.Client, error) {
	spec := task.Flow.HTTP.TLS
	if spec == nil {
		return c.plain, nil
	}
	var pems [3]string
	for i, reference := range []string{spec.Cert, spec.Key, spec.CA} {
		var err error
		if pems[i], err = task.Reveal(reference); err != nil {
			return nil, fmt.Errorf("set up TLS: %w", err)
		}
	}
	set := sum(pems[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.bySet[set]; ok {
		return known, nil
	}
	settings, err := withPEM(tlsConfig(c.cfg.TLS), pems[0], pems[1], pems[2])
	if err != nil {
		return nil, executor.Permanent(fmt.Errorf("set up TLS: %w", err))
	}
	if len(c.bySet) >= maxClients {
		for forgotten, client := range c.bySet {
			delete(c.bySet, forgotten)
			client.CloseIdleConnections()
			break
		}
	}
	made := newClient(c.cfg, settings)
	c.bySet[set] = made
	return made, nil
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plain.CloseIdleConnections()
	for _, client := range c.bySet {
		client.CloseIdleConnections()
	}
}

// sum is a hash in which no two lists of texts run into each other.
func sum(texts []string) (sum [sha256.Size]byte) {
	hash := sha256.New()
	for _, text := range texts {
		_ = binary.Write(hash, binary.BigEndian, uint64(len(text))) // a hash takes everything
		hash.Write([]byte(text))
	}
	hash.Sum(sum[:0])
	return sum
}

func withPEM(settings *tls.Config, cert, key, ca string) (*tls.Config, error) {
	if cert != "" {
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			return nil, fmt.Errorf("http.tls.cert and http.tls.key: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	if ca != "" {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, errors.New("http.tls.ca: found no certificate, allowed are certificates in PEM")
		}
	}
	return settings, nil
}

// newClient gives a client that goes where it is told, if it may: no proxy, no redirect, no cookie.
func newClient(cfg Config, settings *tls.Config) *http.Client {
	dialer := &net.Dialer{Timeout: cfg.ConnectTimeout, Resolver: cfg.Resolver, ControlContext: addresses{cfg.Allow}.control}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        tlsConfig(settings),
			TLSHandshakeTimeout:    cfg.ConnectTimeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // an answer is as long as it is on the wire
			MaxResponseHeaderBytes: 64 << 10,
			MaxConnsPerHost:        cfg.MaxConnsPerHost,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
		},
	}
}

func tlsConfig(given *tls.Config) *tls.Config {
	if given == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return given.Clone()
}
