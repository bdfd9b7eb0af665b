package trigger

import (
	"errors"
	"net/http"
)

// Reasons of refusals, as in the log and in the metric.
const (
	ReasonNone      = "no_credential"
	ReasonScheme    = "scheme"           // an Authorization that is no Bearer
	ReasonSeveral   = "several"          // more than one credential
	ReasonForm      = "malformed"        // a credential that cannot be read
	ReasonUnknown   = "unknown"          // a token, or a key, that nobody has
	ReasonExpired   = "expired"          // it was good once
	ReasonFuture    = "not_yet"          // it will be good, or its maker's clock is ahead
	ReasonSignature = "signature"        // it is not signed by whom it says
	ReasonUncovered = "uncovered"        // the signature leaves out what it must cover
	ReasonDigest    = "digest"           // the body is another one than was signed
	ReasonIssuer    = "issuer"           // nobody of that issuer is let in
	ReasonAudience  = "audience"         // it was made for others
	ReasonSubject   = "subject"          // its subject is not on the list
	ReasonEmail     = "email_unverified" // its issuer does not vouch for the address
	ReasonUntrusted = "untrusted"        // of a certificate that the CA has not signed, or not for clients
	ReasonUndecided = "keys_unavailable" // the keys of its issuer are not to be had
	ReasonAddress   = "address"          // the address is not allowed
	ReasonScope     = "scope"            // the credential is good, and not for this
	ReasonRate      = "rate"             // too many requests
	ReasonOrigin    = "origin"           // a foreign web page sent it
)

// RefusedError says why a credential does not do, for the log alone: what it wraps, and its text, are what the client is
// told.
type RefusedError struct {
	Kind    string // of the credential; empty if that is not known
	Reason  string // one of the constants
	Name    string // whose credential it is, if that is proven
	Claimed string // whose it says it is, which is not; never a secret, quoted and cut
	err     error
}

func (e *RefusedError) Error() string { return e.err.Error() }

// Unwrap gives ErrNoCredential, ErrBadCredential or ErrUndecided.
func (e *RefusedError) Unwrap() error { return e.err }

func refusedAs(kind, reason string) *RefusedError {
	return &RefusedError{Kind: kind, Reason: reason, err: ErrBadCredential}
}

func (e *RefusedError) claiming(who string) *RefusedError {
	if who != "" {
		e.Claimed = quote(who)
	}
	return e
}

func (e *RefusedError) of(name string) *RefusedError {
	e.Name = name
	return e
}

// refusalOf gives what is known of a refusal; ok is false for an error that is none.
func refusalOf(err error) (refused RefusedError, ok bool) {
	var known *RefusedError
	var problem *Problem
	switch {
	case errors.As(err, &known):
		return *known, true
	case errors.Is(err, ErrNoCredential):
		return RefusedError{Reason: ReasonNone}, true
	case errors.Is(err, ErrBadCredential):
		return RefusedError{Reason: ReasonUnknown}, true
	case errors.Is(err, errAddress):
		return RefusedError{Reason: ReasonAddress}, true
	case errors.Is(err, errForeign):
		return RefusedError{Reason: ReasonOrigin}, true
	case errors.Is(err, ErrForbidden):
		return RefusedError{Reason: ReasonScope}, true
	case errors.As(err, &problem) && problem.Status == http.StatusTooManyRequests:
		return RefusedError{Reason: ReasonRate}, true
	}
	return RefusedError{}, false
}
