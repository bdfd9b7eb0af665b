package trigger

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

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
