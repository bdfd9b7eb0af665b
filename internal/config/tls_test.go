package config_test

import (
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/testenv"
)

// presents gives the serial number of the certificate that a client shows a server that trusts the authority; 0 for none.
func presents(t *testing.T, client *tls.Config, server tls.Certificate, trusted *x509.CertPool) int64 {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	shaken := make(chan error, 1)
	go func() {
		defer theirs.Close()
		shaken <- tls.Client(theirs, client).HandshakeContext(t.Context())
	}()
	conn := tls.Server(ours, &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert, ClientCAs: trusted,
	})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	if shown := conn.ConnectionState().PeerCertificates; len(shown) > 0 {
		return shown[0].SerialNumber.Int64()
	}
	return 0
}

// A role runs for longer than a certificate is good for: what was renewed is presented without a restart.
func TestACertificateThatWasRenewedIsPresentedFromThenOn(t *testing.T) {
	t.Parallel()
	ca := testenv.NewAuthority(t)
	issue := func(serial int64) tls.Certificate {
		return ca.Issue(t, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(serial) })
	}
	certFile, keyFile := testenv.WritePair(t, issue(11))
	client, err := config.TLS{CAFile: ca.WriteCA(t), CertFile: certFile, KeyFile: keyFile, ServerName: "127.0.0.1"}.Client()
	if err != nil {
		t.Fatal(err)
	}
	server := ca.Issue(t, testenv.LoopbackServer(1))
	shows := func(trusted *x509.CertPool, want int64, when string) {
		t.Helper()
		if got := presents(t, client, server, trusted); got != want {
			t.Errorf("%s: presents %d, want %d", when, got, want)
		}
	}
	shows(ca.Pool, 11, "at first")
	testenv.OverwritePair(t, issue(12), certFile, keyFile)
	shows(ca.Pool, 12, "renewed")
	if err := os.WriteFile(keyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	shows(ca.Pool, 12, "half written")
	stranger, err := x509.ParseCertificate(ca.Issue(t, testenv.Named("", "", "", "stranger")).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	others := x509.NewCertPool()
	others.AddCert(stranger)
	shows(others, 0, "to a server that trusts others")
}

// Everything else is fine with it, and every client refuses it.
func TestACertificateThatHasExpiredIsWarnedOf(t *testing.T) {
	t.Parallel()
	ca := testenv.NewAuthority(t)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	for _, test := range []struct {
		change func(*x509.Certificate)
		warned int
	}{{expired, 2}, {func(*x509.Certificate) {}, 0}} {
		certFile, keyFile := testenv.WritePair(t, ca.Issue(t, test.change))
		cfg := load(t, config.Options{Environ: func() []string {
			return []string{
				"SYSTOLE_GATEWAY__TLS__CERT_FILE=" + certFile, "SYSTOLE_GATEWAY__TLS__KEY_FILE=" + keyFile,
				"SYSTOLE_NATS__TLS__CERT_FILE=" + certFile, "SYSTOLE_NATS__TLS__KEY_FILE=" + keyFile,
			}
		}})
		warnings := strings.Join(cfg.Warnings(), "\n")
		if strings.Count(warnings, "the certificate has expired on") != test.warned {
			t.Errorf("the warnings are\n%s", warnings)
		}
	}
}
