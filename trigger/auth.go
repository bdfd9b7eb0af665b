package trigger

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Scopes of a token.
const (
	ScopeBeat  = "beat"  // send heartbeats
	ScopeRun   = "run"   // start a flow now
	ScopeRead  = "read"  // read through the admin API
	ScopeWrite = "write" // change through the admin API
)

// HeaderToken carries a token where Authorization is taken, by a proxy's own credential for instance.
const HeaderToken = "X-Heartbeat-Token"

// challenge is what 401 asks for.
const challenge = `Bearer realm="systole"`

// Why a request is not let through. The texts go to the client, so they say nothing of what was sent.
var (
	ErrNoCredential  = errors.New("a token is needed, as Authorization: Bearer or in " + HeaderToken)
	ErrBadCredential = errors.New("the credential is not accepted")
	ErrForbidden     = errors.New("the credential is not allowed to do this here")
)

// Authenticator knows the tokens of a deployment, as their SHA-256 sums only. It never changes; safe for concurrent use.
type Authenticator struct {
	entries []entry
}

type entry struct {
	sum       [sha256.Size]byte
	principal Principal
}

// NewAuthenticator makes an authenticator that accepts any of the tokens. The error is an InvalidError that lists
// everything wrong with them, and holds no secret.
func NewAuthenticator(tokens []Token) (*Authenticator, error) {
	var invalid InvalidError
	if len(tokens) == 0 {
		invalid.add("tokens", "none", "at least one token")
	}
	a := &Authenticator{}
	for i, token := range tokens {
		a.entries = append(a.entries, token.entry(&invalid, i))
	}
	a.checkUnique(&invalid)
	if err := invalid.orNil(); err != nil {
		return nil, err
	}
	return a, nil
}

// Authenticate gives the principal whose token the request carries, or ErrNoCredential or ErrBadCredential. The query
// is not looked at: URLs end up in logs.
func (a *Authenticator) Authenticate(r *http.Request) (Principal, error) {
	presented, err := credential(r.Header)
	if err != nil {
		return Principal{}, err
	}
	// Every sum is compared, in constant time, so that how long it takes tells nothing about any of them.
	sum := sha256.Sum256([]byte(presented))
	found := -1
	for i := range a.entries {
		equal := subtle.ConstantTimeCompare(sum[:], a.entries[i].sum[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return Principal{}, ErrBadCredential
	}
	return a.entries[found].principal, nil
}

// credential takes the token out of the headers. Two of them are refused: which one counts would be anyone's guess.
func credential(header http.Header) (string, error) {
	tokens := slices.Clone(header.Values(HeaderToken))
	for _, value := range header.Values("Authorization") {
		scheme, token, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "Bearer") {
			tokens = append(tokens, strings.TrimLeft(token, " "))
		}
	}
	switch {
	case len(tokens) == 0 && len(header.Values("Authorization")) > 0:
		return "", ErrBadCredential // of another scheme, such as Basic
	case len(tokens) == 0:
		return "", ErrNoCredential
	case len(tokens) > 1 || tokens[0] == "":
		return "", ErrBadCredential
	}
	return tokens[0], nil
}
