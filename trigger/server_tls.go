package trigger

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// loadTLS gives what a server with a certificate presents; nil for one without.
func loadTLS(cfg ServerConfig) (*tls.Config, error) {
	if cfg.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s with key %s: %w", cfg.CertFile, cfg.KeyFile, err)
	}
	made := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if cfg.ClientCerts {
		made.ClientAuth = tls.RequestClientCert
	}
	return made, nil
}

// ReloadTLS reads certificate and key again, which may be other files than before, and takes over whether clients are asked
// for a certificate, for all connections from now on. Requests on those that are there go on. If a file cannot be
// used, all stays as it was. Between TLS and plain HTTP it cannot change.
func (s *Server) ReloadTLS(certFile, keyFile string, clientCerts bool) error {
	if (certFile == "") != (s.listener.tls.Load() == nil) {
		return errors.New("reload certificate: switching TLS on or off needs a restart")
	}
	next, err := loadTLS(ServerConfig{CertFile: certFile, KeyFile: keyFile, ClientCerts: clientCerts})
	if err != nil {
		return fmt.Errorf("reload certificate: %w", err)
	}
	s.listener.tls.Store(next)
	return nil
}
