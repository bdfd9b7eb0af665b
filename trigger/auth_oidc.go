package trigger

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
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
		cfg.Issuers = NewIssuers(IssuersConfig{})
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
	return u.Scheme == "https" || u.Scheme == "http" && onLoopback(u.Hostname())
}

func onLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// warm begins to fetch the keys of all issuers.
func (o *issued) warm() {
	for name := range o.known {
		o.issuers.of(name).warm()
	}
}

// looksLikeJWT tells a JWT from an opaque token: three parts in base64url, of which the first is a JSON object.
func looksLikeJWT(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	var fields struct {
		Algorithm string `json:"alg"`
	}
	return err == nil && json.Unmarshal(header, &fields) == nil && fields.Algorithm != ""
}

// claims are those that decide who a client is.
type claims struct {
	Issuer        string  `json:"iss"`
	Subject       string  `json:"sub"`
	Email         string  `json:"email"`
	EmailVerified any     `json:"email_verified"` // true, and no text that says so
	NotBefore     float64 `json:"nbf"`
}

// unproven reads the claims of a token that nobody has checked.
func unproven(raw string) (found claims, ok bool) {
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	return found, err == nil && json.Unmarshal(payload, &found) == nil
}

// googleNoScheme is how Google sometimes calls itself.
const (
	google         = "https://accounts.google.com"
	googleNoScheme = "accounts.google.com"
)

// authenticate decides about what looks like a JWT. It may wait for keys, not longer than one attempt to fetch them.
func (o *issued) authenticate(ctx context.Context, raw string, now time.Time) (Principal, error) {
	if len(raw) > maxJWT {
		return Principal{}, refusedAs(KindOIDC, ReasonForm)
	}
	claimed, ok := unproven(raw)
	if !ok {
		return Principal{}, refusedAs(KindOIDC, ReasonForm)
	}
	refused := func(reason string) *RefusedError {
		return refusedAs(KindOIDC, reason).claiming(claimed.Subject + " of " + claimed.Issuer)
	}
	issuer := claimed.Issuer
	if issuer == googleNoScheme {
		issuer = google
	}
	entries, known := o.known[issuer]
	if !known {
		return Principal{}, refused(ReasonIssuer)
	}
	keys, err := o.keys(ctx, issuer, raw)
	if errors.Is(err, ErrUndecided) {
		undecided := refused(ReasonUndecided)
		undecided.err = ErrUndecided
		return Principal{}, undecided
	} else if err != nil {
		return Principal{}, refused(ReasonForm)
	}
	verifier := oidc.NewVerifier(issuer, &oidc.StaticKeySet{PublicKeys: keys}, &oidc.Config{
		SupportedSigningAlgs: algorithms, SkipClientIDCheck: true, SkipExpiryCheck: true, // both are checked below, each with its reason
	})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return Principal{}, refused(ReasonSignature)
	}
	var proven claims
	if err := token.Claims(&proven); err != nil {
		return Principal{}, refused(ReasonForm)
	}
	if reason := o.timely(token, proven, now); reason != "" {
		return Principal{}, refused(reason)
	}
	return admitted(entries, token.Audience, proven, refused)
}

// keys gives those that may have signed the token.
func (o *issued) keys(ctx context.Context, issuer, raw string) ([]crypto.PublicKey, error) {
	var allowed []jose.SignatureAlgorithm
	for _, algorithm := range algorithms {
		allowed = append(allowed, jose.SignatureAlgorithm(algorithm))
	}
	signed, err := jose.ParseSignedCompact(raw, allowed)
	if err != nil {
		return nil, fmt.Errorf("read JWT: %w", err)
	}
	if len(signed.Signatures) != 1 {
		return nil, errors.New("read JWT: not one signature")
	}
	header := signed.Signatures[0].Protected
	return o.issuers.of(issuer).keysFor(ctx, header.KeyID, header.Algorithm)
}

// timely gives the reason why a token is not good now, or nothing.
func (o *issued) timely(token *oidc.IDToken, proven claims, now time.Time) string {
	switch {
	case !now.Before(token.Expiry.Add(o.skew)): // or it has none
		return ReasonExpired
	case time.Unix(int64(proven.NotBefore), 0).After(now.Add(o.skew)), token.IssuedAt.After(now.Add(o.skew)):
		return ReasonFuture
	}
	return ""
}

// admitted finds the entry of a token that its issuer has signed.
func admitted(entries []oidcEntry, audience []string, proven claims, refused func(string) *RefusedError) (Principal, error) {
	reason := ReasonAudience
	for _, entry := range entries {
		if !slices.Contains(audience, entry.Audience) {
			continue
		}
		if reason == ReasonAudience {
			reason = ReasonSubject
		}
		switch {
		case entry.Subject != "" && entry.Subject == proven.Subject:
			return entry.principal, nil
		case entry.Email == "" || entry.Email != proven.Email:
		case proven.EmailVerified == true:
			return entry.principal, nil
		default:
			reason = ReasonEmail
		}
	}
	return Principal{}, refused(reason)
}
