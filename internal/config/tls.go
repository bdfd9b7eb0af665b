package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// TLS is the client side of a connection to NATS or Redis.
type TLS struct {
	CAFile     string `koanf:"ca_file"`   // whom to trust; empty: the system's certificates
	CertFile   string `koanf:"cert_file"` // what to present; empty: nothing
	KeyFile    string `koanf:"key_file"`
	ServerName string `koanf:"server_name"` // what the certificate must be for; empty: the host of the URL
}

// IsZero reports whether nothing is set.
func (t TLS) IsZero() bool { return t == TLS{} }

// Client gives the settings as crypto/tls has them, TLS 1.2 at least; nil if nothing is set.
func (t TLS) Client() (*tls.Config, error) {
	if t.IsZero() {
		return nil, nil
	}
	client := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pool, err := loadCAs(t.CAFile)
		if err != nil {
			return nil, err
		}
		client.RootCAs = pool
	}
	if t.CertFile != "" {
		certificate, err := loadPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, err
		}
		client.GetClientCertificate = t.renewed(certificate)
	}
	return client, nil
}

// renewed reads certificate and key anew for each connection: whoever renews them expects them to count, and a role that
// connects again after months must not present one that has expired. While a file is half written the last pair serves on.
func (t TLS) renewed(certificate tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	var last atomic.Pointer[tls.Certificate]
	last.Store(&certificate)
	return func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if pair, err := loadPair(t.CertFile, t.KeyFile); err == nil {
			last.Store(&pair)
		}
		if pair := last.Load(); asked.SupportsCertificate(pair) == nil {
			return pair, nil
		}
		return new(tls.Certificate), nil // one that the server does not want is not presented, as without this function
	}
}

// ServerTLS is the server side of a listener. Without files it speaks plain HTTP.
type ServerTLS struct {
	CertFile string `koanf:"cert_file"`
	KeyFile  string `koanf:"key_file"`
}

func loadCAs(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("CA file has no PEM certificate")
	}
	return pool, nil
}

// loadPair may pass on the error of crypto/tls: it names what is wrong and quotes nothing of the key.
func loadPair(certFile, keyFile string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("load certificate and key: %w", err)
	}
	return pair, nil
}
