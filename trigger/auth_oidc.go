package trigger

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// DefaultClockSkew is how far the clock of an issuer may be off.
const DefaultClockSkew = time.Minute

// MaxClockSkew is the most that may be allowed for.
const MaxClockSkew = 10 * time.Minute

// OIDCConfig lets clients in that bring a JWT of an OpenID Connect issuer, as GitHub Actions, Google Cloud Scheduler and
// Kubernetes give them to their jobs. It comes as a bearer token.
type OIDCConfig struct {
	Issuer    string // https, or http on loopback; of subjects that name none
	Audience  string // whom the token must be for; of subjects that name none
	Subjects  []OIDCSubject
	ClockSkew time.Duration // DefaultClockSkew
	Issuers   *Issuers      // keeps the keys; nil: kept by this authenticator alone
}

// OIDCSubject is one client that is let in, by exactly one of Subject and Email. Both are compared as they stand: with a
// pattern, whoever can choose a part of the name, such as that of a branch, could choose to be let in.
type OIDCSubject struct {
	Subject string // the claim sub, such as repo:acme/shop:ref:refs/heads/main
	Email   string // the claim email, which counts only with email_verified

	Name     string // who it is; appears in logs; the subject or email where empty
	Scopes   []string
	Groups   []string
	Issuer   string // in place of OIDCConfig.Issuer
	Audience string // in place of OIDCConfig.Audience
}

const (
	maxJWT         = 8 << 10
	maxOIDCSubject = 255
)

// algorithms sign with a key that the issuer alone has. HMAC is not among them: its key would be the public one.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// issued knows the subjects of JWTs.
type issued struct {
	skew    time.Duration
	issuers *Issuers
	known   map[string][]oidcEntry // by issuer
}

type oidcEntry struct {
	OIDCSubject
	principal Principal
}

func newIssued(cfg OIDCConfig, invalid *InvalidError, names names) *issued {
	orDefault(&cfg.ClockSkew, DefaultClockSkew)
	if cfg.ClockSkew < 0 || cfg.ClockSkew > MaxClockSkew {
		invalid.add("oidc.clock_skew", cfg.ClockSkew.String(), "0 to "+MaxClockSkew.String())
	}
	if cfg.Issuers == nil {
		cfg.Issuers, _ = NewIssuers(IssuersConfig{}) // which fails for a CA file only
	}
	if len(cfg.Subjects) == 0 {
		invalid.add("oidc.subjects", "none", "at least one subject; not everybody whom the issuer knows is let in")
	}
	if cfg.Issuer != "" && !ValidIssuer(cfg.Issuer) {
		invalid.add("oidc.issuer", quote(cfg.Issuer), IssuerAllowed)
	}
	o := &issued{skew: cfg.ClockSkew, issuers: cfg.Issuers, known: map[string][]oidcEntry{}}
	for i, subject := range cfg.Subjects {
		at := fmt.Sprintf("oidc.subjects[%d]", i)
		o.checkAddressees(cfg, &subject, invalid, at)
		entry := oidcEntry{OIDCSubject: subject, principal: subject.principal(invalid, at)}
		invalid.unique(names, at, entry.principal.Name)
		if slices.ContainsFunc(o.known[subject.Issuer], entry.same) {
			invalid.add(at, quote(subject.Subject+subject.Email), "a subject that is not on the list yet")
		}
		o.known[subject.Issuer] = append(o.known[subject.Issuer], entry)
	}
	return o
}

// checkAddressees settles who must have issued the token, and for whom.
func (o *issued) checkAddressees(cfg OIDCConfig, subject *OIDCSubject, invalid *InvalidError, at string) {
	switch {
	case subject.Issuer != "" && !ValidIssuer(subject.Issuer):
		invalid.add(at+".issuer", quote(subject.Issuer), IssuerAllowed)
	case subject.Issuer == "" && cfg.Issuer == "":
		invalid.add(at+".issuer", "none", "an issuer here or for all subjects; "+IssuerAllowed)
	}
	if subject.Audience == "" && cfg.Audience == "" {
		invalid.add(at+".audience", "none", "an audience here or for all subjects, which tokens for others do not have")
	}
	orDefault(&subject.Issuer, cfg.Issuer)
	orDefault(&subject.Audience, cfg.Audience)
}

func (s OIDCSubject) principal(invalid *InvalidError, at string) Principal {
	if (s.Subject == "") == (s.Email == "") {
		invalid.add(at, "subject and email, or neither", "exactly one of them")
	}
	invalid.checkText(at+".subject", s.Subject, maxOIDCSubject)
	invalid.checkText(at+".email", s.Email, maxOIDCSubject)
	if s.Name != "" {
		return invalid.principal(at, KindOIDC, grant{s.Name, s.Scopes, s.Groups})
	}
	principal := invalid.principal(at, KindOIDC, grant{"unnamed", s.Scopes, s.Groups})
	principal.Name = s.Subject + s.Email
	return principal
}

func (e oidcEntry) same(other oidcEntry) bool {
	return e.Subject == other.Subject && e.Email == other.Email && e.Audience == other.Audience
}

// IssuerAllowed says what ValidIssuer takes.
const IssuerAllowed = "an address such as https://token.actions.githubusercontent.com, without user, ? and #; http on loopback only"

// ValidIssuer reports whether an issuer's address is one whose keys can be trusted on the way here.
func ValidIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(issuer, "#") {
		return false
	}
	return trustedWay(u)
}

// trustedWay reports whether what comes from an address is what was sent there: over https, or http on loopback.
func trustedWay(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && addr.IsLoopback())
}

// warm begins to fetch the keys of all issuers.
func (o *issued) warm() {
	for name := range o.known {
		o.issuers.of(name).warm()
	}
}
