package trigger

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// MTLSConfig lets clients in by the certificate that they present at the TLS handshake. The server must ask for one:
// ServerConfig.ClientCerts. Behind a proxy that ends TLS there is none to see.
type MTLSConfig struct {
	CAs      *x509.CertPool // that sign clients' certificates; the system's count for nothing
	CAFile   string         // in place of CAs: a PEM file of them, which is looked at again every ten seconds
	Subjects []CertSubject
	Logger   *slog.Logger // hears of a CAFile that changes; nil: nobody does
}

// CertSubject is one client that is let in, by exactly one of the names in its certificate, which is compared as it
// stands. A certificate with names of several subjects is that of the one with the URI, then DNS, Email and CN.
type CertSubject struct {
	URI   string // such as spiffe://example.org/cron
	DNS   string
	Email string
	CN    string // the common name, which is of no other use today

	Name   string   // who it is; appears in logs
	Scopes []string // of ScopeBeat, ScopeRun, ScopeRead, ScopeWrite; none means ScopeBeat only
	Groups []string // where the scopes hold; none means everywhere
}

// certName is one name in a certificate.
type certName struct{ kind, value string }

func (s CertSubject) names() []certName {
	all := []certName{{"uri", s.URI}, {"dns", s.DNS}, {"email", s.Email}, {"cn", s.CN}}
	return slices.DeleteFunc(all, func(n certName) bool { return n.value == "" })
}

// certificates knows the clients that come with one.
type certificates struct {
	cas      *x509.CertPool
	file     *renewed[x509.CertPool] // in place of cas; nil: there is none
	subjects map[certName]Principal
}

func newCertificates(cfg MTLSConfig, invalid *InvalidError, names names) *certificates {
	c := &certificates{cas: cfg.CAs, file: cfg.file(invalid), subjects: map[certName]Principal{}}
	if len(cfg.Subjects) == 0 {
		invalid.add("mtls.subjects", "none", "at least one subject; not everybody whom the CA has signed is let in")
	}
	for i, subject := range cfg.Subjects {
		at := fmt.Sprintf("mtls.subjects[%d]", i)
		principal := invalid.principal(at, KindMTLS, grant{subject.Name, subject.Scopes, subject.Groups})
		invalid.unique(names, at, subject.Name)
		known := subject.names()
		if len(known) != 1 {
			invalid.add(at, fmt.Sprintf("%d of uri, dns, email and cn", len(known)), "exactly one")
			continue
		}
		if _, taken := c.subjects[known[0]]; taken {
			invalid.add(at+"."+known[0].kind, quote(known[0].value), "one that no other subject has")
		}
		c.subjects[known[0]] = principal
	}
	return c
}

var errNoCertificate = errors.New("found no certificate in PEM")

// file reads the authorities' certificates, if that is where they are.
func (cfg MTLSConfig) file(invalid *InvalidError) *renewed[x509.CertPool] {
	if (cfg.CAs == nil) == (cfg.CAFile == "") {
		invalid.add("mtls.cas", "both a pool and a file, or neither", "the certificates of the authorities that sign clients', as one of them")
		return nil
	}
	if cfg.CAFile == "" {
		return nil
	}
	pool, err := newRenewed(cfg.Logger, func(contents [][]byte) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(contents[0]) {
			return nil, errNoCertificate
		}
		return pool, nil
	}, cfg.CAFile)
	if err != nil {
		invalid.add("mtls.ca_file", err.Error(), "a file of PEM certificates")
	}
	return pool
}

// roots are the authorities that count at the moment.
func (c *certificates) roots() *x509.CertPool {
	if c.file != nil {
		return c.file.current()
	}
	return c.cas
}

// presented gives the certificates of a connection, the client's own first; nil if there is none. That the client has the
// key is proven by the handshake; nothing else is.
func presented(r *http.Request) []*x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates
}

// authenticate checks the certificate with each request and not at the handshake: a CA or subject that is taken off the
// list is out at once, whatever connections it has, and whoever is refused is told so over HTTP.
func (c *certificates) authenticate(chain []*x509.Certificate, now time.Time) (Principal, error) {
	leaf := chain[0]
	intermediates := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: c.roots(), Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	claimed := namesOf(leaf)
	refused := func(reason string) (Principal, error) {
		who := ""
		if len(claimed) > 0 {
			who = claimed[0].kind + " " + claimed[0].value
		}
		return Principal{}, refusedAs(KindMTLS, reason).claiming(who)
	}
	switch {
	case now.After(leaf.NotAfter):
		return refused(ReasonExpired)
	case now.Before(leaf.NotBefore):
		return refused(ReasonFuture)
	case err != nil:
		return refused(ReasonUntrusted)
	}
	for _, name := range claimed {
		if principal, known := c.subjects[name]; known {
			return principal, nil
		}
	}
	return refused(ReasonSubject)
}

// namesOf gives the names in a certificate, in the order in which they count.
func namesOf(leaf *x509.Certificate) (found []certName) {
	for _, uri := range leaf.URIs {
		found = append(found, certName{"uri", uri.String()})
	}
	for _, name := range leaf.DNSNames {
		found = append(found, certName{"dns", name})
	}
	for _, address := range leaf.EmailAddresses {
		found = append(found, certName{"email", address})
	}
	if cn := leaf.Subject.CommonName; cn != "" {
		found = append(found, certName{"cn", cn})
	}
	return found
}
