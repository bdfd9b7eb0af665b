package trigger

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"
)

const (
	// DefaultHMACWindow is how long a signature is good for.
	DefaultHMACWindow = 5 * time.Minute
	// MinHMACWindow is the least that it may be good for.
	MinHMACWindow = time.Second

	minHMACKey   = 32
	maxClockLead = 30 * time.Second
)

// HMACConfig lets requests in that are signed with a shared key, as RFC 9421 (HTTP Message Signatures) has it, in one
// profile: the algorithm hmac-sha256 over @method, @path and @query, content-digest (RFC 9530, sha-256) where there is a
// body, and what else of signable the sender chooses, with the parameters created, keyid and alg.
//
// A signature is its own message id: the same request sent again within the window, to whatever gateway of the stream,
// is a duplicate that changes nothing, and is answered as one. So the window must not be longer than JetStream's memory,
// StreamConfig.DuplicateWindow. Where an Idempotency-Key is sent it is the id, and must be signed: anybody on the way
// could else make a second beat of one request. This holds for the gateway; whoever authenticates other requests with it
// must recognise repeats by other means.
type HMACConfig struct {
	Keys   []Token       // each with a Value of 32 characters or more; its Name is the keyid
	Window time.Duration // DefaultHMACWindow
}

// signatures knows the keys that requests are signed with.
type signatures struct {
	keys  []entry
	lead  time.Duration // that a client's clock may be ahead
	reach time.Duration // after which a signature is too old
}

func newSignatures(cfg HMACConfig, invalid *InvalidError, names names) *signatures {
	orDefault(&cfg.Window, DefaultHMACWindow)
	if cfg.Window < MinHMACWindow {
		invalid.add("hmac.window", cfg.Window.String(), MinHMACWindow.String()+" or more")
	}
	if len(cfg.Keys) == 0 {
		invalid.add("hmac.keys", "none", "at least one key")
	}
	// From the first moment that a gateway takes a signature to the last, it is the window and no longer.
	lead := min(cfg.Window/10, maxClockLead)
	s := &signatures{lead: lead, reach: cfg.Window - lead}
	s.keys = invalid.entries("hmac.keys", KindHMAC, cfg.Keys, names)
	for i, key := range cfg.Keys {
		if len(key.Value) < minHMACKey {
			invalid.add(fmt.Sprintf("hmac.keys[%d].value", i), fmt.Sprintf("%d characters", len(key.Value)), fmt.Sprintf("%d or more, which nobody can guess", minHMACKey))
		}
		s.keys[i].key = []byte(key.Value)
	}
	return s
}

// authenticate checks the signature of a request, and has its body checked while it is read.
func (s *signatures) authenticate(r *http.Request, now time.Time) (Principal, error) {
	sig, ok := parseSignature(r.Header)
	if !ok {
		return Principal{}, refusedAs(KindHMAC, ReasonForm)
	}
	refused := func(reason string) error { return refusedAs(KindHMAC, reason).claiming(sig.keyID) }
	if !sig.coversEnough(r) {
		return Principal{}, refused(ReasonUncovered)
	}
	base, ok := sig.base(r)
	if !ok {
		return Principal{}, refused(ReasonForm)
	}
	at := slices.IndexFunc(s.keys, func(key entry) bool { return key.principal.Name == sig.keyID })
	if at < 0 {
		return Principal{}, refused(ReasonUnknown)
	}
	key := &s.keys[at]
	mac := hmac.New(sha256.New, key.key)
	mac.Write([]byte(base))
	if !hmac.Equal(mac.Sum(nil), sig.value) {
		return Principal{}, refused(ReasonSignature)
	}
	if reason := s.timely(sig, now); reason != "" {
		return Principal{}, refusedAs(KindHMAC, reason).of(key.principal.Name)
	}
	principal, err := key.at(now, KindHMAC)
	if err != nil {
		return Principal{}, err
	}
	principal.request = signedID(key.principal.Name, sig)
	if sig.covers("content-digest") {
		r.Body = &digestBody{ReadCloser: r.Body, want: sig.digest, sum: sha256.New(), refused: refusedAs(KindHMAC, ReasonDigest).of(key.principal.Name)}
	}
	return principal, nil
}

// signedID is the message id of a signed request that has no Idempotency-Key, and tells a run-now from others in any case: a
// name that no other request has, made of the signature's sum, which logs may show. No scope of an Idempotency-Key has a slash.
func signedID(name string, sig signature) string {
	return fmt.Sprintf("%s/%s/%d/%x", KindHMAC, name, sig.created.Unix(), sha256.Sum256(sig.value))
}

var signedIDPattern = regexp.MustCompile(`^` + KindHMAC + `/[^/]+/([0-9]{1,12})/([0-9a-f]{16})[0-9a-f]{48}$`)

// timely gives the reason why a signature is not good now, or nothing.
func (s *signatures) timely(sig signature, now time.Time) string {
	age := now.Sub(sig.created)
	switch {
	case age < -s.lead:
		return ReasonFuture
	case age >= s.reach || !sig.expires.IsZero() && !now.Before(sig.expires):
		return ReasonExpired
	}
	return ""
}
