package trigger

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// serverTLS is what a server with a certificate does at handshakes.
type serverTLS struct {
	*tls.Config
	pair *renewed[tls.Certificate]
}

// loadTLS gives nil for a server without a certificate.
func loadTLS(cfg ServerConfig) (*serverTLS, error) {
	if cfg.CertFile == "" {
		return nil, nil
	}
	pair, err := newRenewed(cfg.Logger, func(contents [][]byte) (*tls.Certificate, error) {
		pair, err := tls.X509KeyPair(contents[0], contents[1])
		return &pair, err
	}, cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	made := &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.current(), nil },
		MinVersion:     tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}
	if cfg.ClientCerts {
		made.ClientAuth = tls.RequestClientCert
	}
	return &serverTLS{made, pair}, nil
}

// ReloadTLS takes over which files certificate and key are in, and whether clients are asked for a certificate, for all
// connections from now on. Requests on those that are there go on. If a file cannot be used, all stays as it was. Between TLS
// and plain HTTP it cannot change. Files that are renewed under the same names need no call.
func (s *Server) ReloadTLS(certFile, keyFile string, clientCerts bool) error {
	if (certFile == "") != (s.listener.tls.Load() == nil) {
		return errors.New("reload certificate: switching TLS on or off needs a restart")
	}
	next, err := loadTLS(ServerConfig{CertFile: certFile, KeyFile: keyFile, ClientCerts: clientCerts, Logger: s.cfg.Logger})
	if err != nil {
		return fmt.Errorf("reload %w", err)
	}
	s.listener.tls.Store(next)
	return nil
}
