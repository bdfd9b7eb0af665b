package trigger

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/systole-run/systole/internal/testenv"
)

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
	ca, stranger := testenv.NewAuthority(t), testenv.NewAuthority(t)
	auth, err := NewAuthenticatorOf(AuthConfig{Tokens: []Token{{Name: "token", Value: "token"}}, MTLS: &MTLSConfig{CAs: ca.Pool, Subjects: []CertSubject{
		{CN: "old cron", Name: "by-cn"},
		{URI: "spiffe://acme.example/cron", Name: "by-uri"},
		{DNS: "cron.acme.example", Name: "by-dns"},
		{Email: "cron@acme.example", Name: "by-email"},
		{CN: "reader", Name: "reader", Scopes: []string{ScopeRead}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	nc, subjects := natsWithStreams(t)
	certFile, keyFile := testenv.WritePair(t, ca.Issue(t, testenv.LoopbackServer(1)))
	log := &lockedBuffer{}
	s := newSiteOn(t, GatewayConfig{Access: Access{Auth: auth}, Rate: -1, Logger: logTo(log)}, ServerConfig{CertFile: certFile, KeyFile: keyFile, ClientCerts: true}, nc, subjects)
	s.refused.clients = newLimiter(rate.Inf, 1) // each line is wanted here
	uri := testenv.Named("spiffe://acme.example/cron", "", "", "")
	changed := func(change func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) { uri(c); change(c) }
	}
	tests := map[string]struct {
		pair   tls.Certificate
		token  string
		status int
		log    string
	}{
		"a URI":                        {ca.Issue(t, uri), "", 202, "principal=by-uri"},
		"a DNS name":                   {ca.Issue(t, testenv.Named("", "cron.acme.example", "", "")), "", 202, "principal=by-dns"},
		"an email address":             {ca.Issue(t, testenv.Named("", "", "cron@acme.example", "")), "", 202, "principal=by-email"},
		"a common name":                {ca.Issue(t, testenv.Named("", "", "", "old cron")), "", 202, "principal=by-cn"},
		"names of two: the URI counts": {ca.Issue(t, testenv.Named("spiffe://acme.example/cron", "", "", "old cron")), "", 202, "principal=by-uri"},
		"a token beside a stranger's":  {stranger.Issue(t, uri), "token", 202, "principal=token"},
		"no certificate":               {tls.Certificate{}, "", 401, "reason=no_credential"},
		"another CA":                   {stranger.Issue(t, uri), "", 401, "reason=untrusted"},
		"not on the list":              {ca.Issue(t, testenv.Named("spiffe://acme.example/cron2", "", "", "Old cron")), "", 401, "reason=subject"},
		"the name of another kind":     {ca.Issue(t, testenv.Named("", "old cron", "", "")), "", 401, "reason=subject"},
		"expired":                      {ca.Issue(t, changed(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "", 401, "reason=expired"},
		"not yet":                      {ca.Issue(t, changed(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) })), "", 401, "reason=not_yet"},
		"for servers":                  {ca.Issue(t, changed(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })), "", 401, "reason=untrusted"},
		"another scope":                {ca.Issue(t, testenv.Named("", "", "", "reader")), "", 403, "reason=scope"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var certificates []tls.Certificate
			if test.pair.Certificate != nil {
				certificates = append(certificates, test.pair)
			}
			log.reset()
			response := s.askOver(t, ca.Pool, test.token, certificates...)
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
	ca, next := testenv.NewAuthority(t), testenv.NewAuthority(t)
	access := func(of *testenv.Authority) Access {
		auth, err := NewAuthenticatorOf(AuthConfig{MTLS: &MTLSConfig{CAs: of.Pool, Subjects: []CertSubject{{CN: "cron", Name: "cron"}}}})
		if err != nil {
			t.Fatal(err)
		}
		return Access{Auth: auth}
	}
	nc, subjects := natsWithStreams(t)
	certFile, keyFile := testenv.WritePair(t, ca.Issue(t, testenv.LoopbackServer(11)))
	s := newSiteOn(t, GatewayConfig{Access: access(ca)}, ServerConfig{CertFile: certFile, KeyFile: keyFile, ClientCerts: true}, nc, subjects)
	client := ca.Issue(t, testenv.Named("", "", "", "cron"))
	check := func(status int, serial int64) {
		t.Helper()
		response := s.askOver(t, ca.Pool, "", client)
		if got := response.TLS.PeerCertificates[0].SerialNumber.Int64(); response.StatusCode != status || got != serial {
			t.Errorf("answered %d with certificate %d, want %d with %d", response.StatusCode, got, status, serial)
		}
	}
	check(202, 11)
	testenv.OverwritePair(t, ca.Issue(t, testenv.LoopbackServer(12)), certFile, keyFile)
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
