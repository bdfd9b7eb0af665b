package trigger

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.certificate)
	return a
}

// issue makes a certificate for clients; change may make it another one.
func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// files writes a certificate and its key as PEM.
func files(t testing.TB, pair tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, pair, certFile, keyFile)
	return certFile, keyFile
}

func writePair(t testing.TB, pair tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// loopbackServer makes a certificate of a server on loopback.
func loopbackServer(serial int64) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.SerialNumber = big.NewInt(serial)
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
}

func named(uri, dns, email, cn string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		if parsed, err := url.Parse(uri); err == nil && uri != "" {
			c.URIs = []*url.URL{parsed}
		}
		if dns != "" {
			c.DNSNames = []string{dns}
		}
		if email != "" {
			c.EmailAddresses = []string{email}
		}
		c.Subject.CommonName = cn
	}
}

// askOver sends a heartbeat on a connection of its own, with the certificates that are given.
func (s *site) askOver(t testing.TB, roots *x509.CertPool, token string, certificates ...tls.Certificate) *http.Response {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}}
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL()+"/heartbeat", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set(HeaderToken, token)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// R2.5, R5.1
func TestAClientCertificateLetsInWhomTheCAHasSignedAndTheListNames(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	auth, err := NewAuthenticatorOf(AuthConfig{Tokens: []Token{{Name: "token", Value: "token"}}, MTLS: &MTLSConfig{CAs: ca.pool, Subjects: []CertSubject{
		{CN: "old cron", Name: "by-cn"}, {URI: "spiffe://acme.example/cron", Name: "by-uri"}, {DNS: "cron.acme.example", Name: "by-dns"},
		{Email: "cron@acme.example", Name: "by-email"}, {CN: "reader", Name: "reader", Scopes: []string{ScopeRead}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	nc, subjects := natsWithStreams(t)
	certFile, keyFile := files(t, ca.issue(t, loopbackServer(1)))
	log := &lockedBuffer{}
	s := newSiteOn(t, GatewayConfig{Access: Access{Auth: auth}, Rate: -1, Logger: logTo(log)}, ServerConfig{CertFile: certFile, KeyFile: keyFile, ClientCerts: true}, nc, subjects)
	s.refused.clients = newLimiter(rate.Inf, 1) // each line is wanted here
	uri := named("spiffe://acme.example/cron", "", "", "")
	changed := func(change func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) { uri(c); change(c) }
	}
	tests := map[string]struct {
		pair   tls.Certificate
		token  string
		status int
		log    string
	}{
		"a URI":                        {ca.issue(t, uri), "", 202, "principal=by-uri"},
		"a DNS name":                   {ca.issue(t, named("", "cron.acme.example", "", "")), "", 202, "principal=by-dns"},
		"an email address":             {ca.issue(t, named("", "", "cron@acme.example", "")), "", 202, "principal=by-email"},
		"a common name":                {ca.issue(t, named("", "", "", "old cron")), "", 202, "principal=by-cn"},
		"names of two: the URI counts": {ca.issue(t, named("spiffe://acme.example/cron", "", "", "old cron")), "", 202, "principal=by-uri"},
		"a token beside a stranger's":  {stranger.issue(t, uri), "token", 202, "principal=token"},
		"no certificate":               {tls.Certificate{}, "", 401, "reason=no_credential"},
		"another CA":                   {stranger.issue(t, uri), "", 401, "reason=untrusted"},
		"not on the list":              {ca.issue(t, named("spiffe://acme.example/cron2", "", "", "Old cron")), "", 401, "reason=subject"},
		"the name of another kind":     {ca.issue(t, named("", "old cron", "", "")), "", 401, "reason=subject"},
		"expired":                      {ca.issue(t, changed(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "", 401, "reason=expired"},
		"not yet":                      {ca.issue(t, changed(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), "", 401, "reason=not_yet"},
		"for servers":                  {ca.issue(t, changed(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), "", 401, "reason=untrusted"},
		"another scope":                {ca.issue(t, named("", "", "", "reader")), "", 403, "reason=scope"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var certificates []tls.Certificate
			if test.pair.Certificate != nil {
				certificates = append(certificates, test.pair)
			}
			log.reset()
			response := s.askOver(t, ca.pool, test.token, certificates...)
			if response.StatusCode != test.status {
				t.Errorf("answered %d, want %d", response.StatusCode, test.status)
			}
			until(t, "the log says "+test.log, func() bool { return log.contains(test.log) })
		})
	}
}

// R5.1: certificates and authorities are exchanged while requests are served.
func TestAReloadExchangesTheServersCertificateAndTheClientsCA(t *testing.T) {
	t.Parallel()
	ca, next := newAuthority(t), newAuthority(t)
	access := func(of *authority) Access {
		auth, err := NewAuthenticatorOf(AuthConfig{MTLS: &MTLSConfig{CAs: of.pool, Subjects: []CertSubject{{CN: "cron", Name: "cron"}}}})
		if err != nil {
			t.Fatal(err)
		}
		return Access{Auth: auth}
	}
	nc, subjects := natsWithStreams(t)
	certFile, keyFile := files(t, ca.issue(t, loopbackServer(11)))
	s := newSiteOn(t, GatewayConfig{Access: access(ca)}, ServerConfig{CertFile: certFile, KeyFile: keyFile, ClientCerts: true}, nc, subjects)
	client := ca.issue(t, named("", "", "", "cron"))
	check := func(status int, serial int64) {
		t.Helper()
		response := s.askOver(t, ca.pool, "", client)
		if got := response.TLS.PeerCertificates[0].SerialNumber.Int64(); response.StatusCode != status || got != serial {
			t.Errorf("answered %d with certificate %d, want %d with %d", response.StatusCode, got, status, serial)
		}
	}
	check(202, 11)
	writePair(t, ca.issue(t, loopbackServer(12)), certFile, keyFile)
	if err := s.server.ReloadTLS(certFile, keyFile, true); err != nil {
		t.Fatal(err)
	}
	check(202, 12)
	if err := os.WriteFile(certFile, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{certFile, "", "/nowhere"} {
		if err := s.server.ReloadTLS(file, file, true); err == nil {
			t.Errorf("%q was taken over", file)
		}
	}
	check(202, 12)
	if err := s.Reload(access(next)); err != nil {
		t.Fatal(err)
	}
	check(401, 12)
}
