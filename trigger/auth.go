package trigger

import (
	"errors"
	"net/http"
	"time"
)

// Scopes of a credential.
const (
	ScopeBeat  = "beat"  // send heartbeats
	ScopeRun   = "run"   // start a flow now
	ScopeRead  = "read"  // read through the admin API
	ScopeWrite = "write" // change through the admin API
)

// Kinds of credentials.
const (
	KindToken = "token" // an opaque bearer token
	KindHMAC  = "hmac"  // a signature over the request, with a shared key
	KindOIDC  = "oidc"  // a JWT that an OpenID Connect issuer signed
	KindMTLS  = "mtls"  // a client certificate
)

// challenge is what 401 asks for.
const challenge = `Bearer realm="systole"`

// Why a request is not let through. The texts go to the client, so they say nothing of what was sent.
var (
	ErrNoCredential  = errors.New("a credential is needed, such as a token as Authorization: Bearer or in " + HeaderToken)
	ErrBadCredential = errors.New("the credential is not accepted")
	ErrForbidden     = errors.New("the credential is not allowed to do this here")
	// ErrUndecided is for a credential that cannot be checked now: the keys of its issuer are not to be had.
	ErrUndecided = errors.New("the credential cannot be checked now; send it again")
)

// AuthConfig says whom an Authenticator knows, by the kind of credential. At least one kind must be there.
type AuthConfig struct {
	Tokens []Token
	HMAC   *HMACConfig // nil: no signed requests
	OIDC   *OIDCConfig // nil: no JWTs
	MTLS   *MTLSConfig // nil: no client certificates
}

// Authenticator knows who may call. Of tokens it has the SHA-256 sums only. Whom it knows never changes; safe for
// concurrent use.
type Authenticator struct {
	entries []entry
	hmac    *signatures
	oidc    *issued
	mtls    *certificates
	now     func() time.Time
}

// NewAuthenticator makes an authenticator that accepts any of the tokens, and nothing else. The error is an InvalidError
// that lists everything wrong with them, and holds no secret.
func NewAuthenticator(tokens []Token) (*Authenticator, error) {
	return NewAuthenticatorOf(AuthConfig{Tokens: tokens})
}

// NewAuthenticatorOf makes an authenticator of several kinds of credentials. Nothing is waited for: the keys of issuers
// are fetched in the background. The error is as that of NewAuthenticator.
func NewAuthenticatorOf(cfg AuthConfig) (*Authenticator, error) {
	var invalid InvalidError
	if len(cfg.Tokens) == 0 && cfg.HMAC == nil && cfg.OIDC == nil && cfg.MTLS == nil {
		invalid.add("tokens", "none", "at least one token, or another kind of credential")
	}
	names := names{}
	a := &Authenticator{now: time.Now}
	a.entries = invalid.entries("tokens", KindToken, cfg.Tokens, names)
	if cfg.HMAC != nil {
		a.hmac = newSignatures(*cfg.HMAC, &invalid, names)
	}
	if cfg.OIDC != nil {
		a.oidc = newIssued(*cfg.OIDC, &invalid, names)
	}
	if cfg.MTLS != nil {
		a.mtls = newCertificates(*cfg.MTLS, &invalid, names)
	}
	if err := invalid.orNil(); err != nil {
		return nil, err
	}
	if a.oidc != nil {
		a.oidc.warm()
	}
	return a, nil
}

// Kinds lists the kinds of credentials that may let somebody in, in the order of the Kind constants.
func (a *Authenticator) Kinds() (kinds []string) {
	for _, kind := range []struct {
		name string
		on   bool
	}{{KindToken, len(a.entries) > 0}, {KindHMAC, a.hmac != nil}, {KindOIDC, a.oidc != nil}, {KindMTLS, a.mtls != nil}} {
		if kind.on {
			kinds = append(kinds, kind.name)
		}
	}
	return kinds
}

// Authenticate gives the principal whose credential the request carries. The error wraps ErrNoCredential, ErrBadCredential
// or ErrUndecided, and is a *RefusedError, which says more to the log than the client may know. The query is not looked
// at: URLs end up in logs.
//
// What comes in headers counts, one credential alone; a client certificate counts where there is none of those, since it
// belongs to the connection and not to the request. Of a signed request the body is checked while it is read: what
// Authenticate leaves in r.Body ends with an error, which wraps ErrBadCredential, where the body is not the signed one.
func (a *Authenticator) Authenticate(r *http.Request) (Principal, error) {
	tokens, other := bearers(r.Header)
	signed := a.hmac != nil && isSigned(r.Header)
	now := a.now()
	switch {
	case signed && len(tokens) > 0:
		return Principal{}, refusedAs(KindHMAC, ReasonSeveral)
	case signed:
		return a.hmac.authenticate(r, now)
	case len(tokens) > 0:
		return a.bearer(r, tokens, now)
	case a.mtls != nil && presented(r) != nil:
		return a.mtls.authenticate(presented(r), now)
	case other:
		return Principal{}, refusedAs("", ReasonScheme)
	}
	return Principal{}, &RefusedError{Reason: ReasonNone, err: ErrNoCredential}
}

// bearer decides about a token by its value, and only then by its form: an opaque token may look like a JWT.
func (a *Authenticator) bearer(r *http.Request, tokens []string, now time.Time) (Principal, error) {
	token, err := single(tokens)
	if err != nil {
		return Principal{}, err
	}
	if found := a.find(token); found != nil {
		return found.at(now, KindToken)
	}
	if a.oidc != nil && looksLikeJWT(token) {
		return a.oidc.authenticate(r.Context(), token, now)
	}
	return Principal{}, refusedAs(KindToken, ReasonUnknown)
}
