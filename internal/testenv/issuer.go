package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer is an OpenID Connect issuer on loopback, with what may go wrong with one.
type Issuer struct {
	*httptest.Server

	mu      sync.Mutex
	keys    map[string]any // by name; RSA and EC private keys
	fetched int            // times that its keys were asked for
	away    bool
	says    string        // the issuer that it says it is; itself where empty
	hold    chan struct{} // not nil: it answers only once this is closed
}

// NewIssuer starts an issuer with keys of these names; see AddKey.
func NewIssuer(t testing.TB, names ...string) *Issuer {
	t.Helper()
	i := &Issuer{keys: map[string]any{}}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	return i.with(t, names)
}

// NewTLSIssuer starts one that speaks HTTPS with a certificate.
func NewTLSIssuer(t testing.TB, certificate tls.Certificate, names ...string) *Issuer {
	t.Helper()
	i := &Issuer{keys: map[string]any{}}
	i.Server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	i.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	i.Config.ErrorLog = log.New(io.Discard, "", 0) // who does not trust it says so itself
	i.StartTLS()
	return i.with(t, names)
}

func (i *Issuer) with(t testing.TB, names []string) *Issuer {
	t.Helper()
	t.Cleanup(i.Close)
	for _, name := range names {
		i.AddKey(t, name)
	}
	return i
}

// AddKey makes an EC key if the name begins with ec, else an RSA key.
func (i *Issuer) AddKey(t testing.TB, name string) {
	t.Helper()
	var key any
	var err error
	if name[:2] == "ec" {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.keys[name] = key })
}

func (i *Issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// Key gives a key of the issuer.
func (i *Issuer) Key(name string) (key any) {
	i.set(func() { key = i.keys[name] })
	return key
}

// DropKey takes a key away.
func (i *Issuer) DropKey(name string) { i.set(func() { delete(i.keys, name) }) }

// SetAway has it answer nothing but errors, or be back.
func (i *Issuer) SetAway(away bool) { i.set(func() { i.away = away }) }

// Say has it call itself otherwise.
func (i *Issuer) Say(name string) { i.set(func() { i.says = name }) }

// Hold has it answer nothing until release is called.
func (i *Issuer) Hold() (release func()) {
	hold := make(chan struct{})
	i.set(func() { i.hold = hold })
	return func() { close(hold) }
}

// Fetches tells how often its keys were asked for.
func (i *Issuer) Fetches() (count int) {
	i.set(func() { count = i.fetched })
	return count
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	var hold chan struct{}
	i.set(func() { hold = i.hold })
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.away:
		http.Error(w, "away", http.StatusServiceUnavailable)
	case r.URL.Path == "/.well-known/openid-configuration":
		said := i.says
		if said == "" {
			said = i.URL
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": said, "jwks_uri": i.URL + "/keys"})
	case r.URL.Path == "/keys":
		i.fetched++
		set := []any{map[string]string{"kty": "OKP", "crv": "Ed448", "x": "AA"}} // of a kind that nobody knows
		for name, key := range i.keys {
			private := jose.JSONWebKey{Key: key, KeyID: name}
			set = append(set, private.Public())
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	default:
		http.NotFound(w, r)
	}
}

// Claims are the claims of a token that is good, with changes; a nil takes one away.
func (i *Issuer) Claims(changes map[string]any) map[string]any {
	all := map[string]any{"iss": i.URL, "sub": "repo:acme/shop:ref:refs/heads/main", "aud": "systole", "iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix()}
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

// Token signs claims with a key of the issuer, as the algorithm says.
func (i *Issuer) Token(t testing.TB, key string, algorithm jose.SignatureAlgorithm, changes map[string]any) string {
	t.Helper()
	return SignJWT(t, i.Key(key), key, algorithm, i.Claims(changes))
}

// Good is a token that is let in.
func (i *Issuer) Good(t testing.TB) string { return i.Token(t, "rsa", jose.RS256, nil) }

// SignJWT signs claims with a key, under a name that may be empty.
func SignJWT(t testing.TB, key any, keyID string, algorithm jose.SignatureAlgorithm, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if keyID != "" {
		options = options.WithHeader("kid", keyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// UnsignedJWT is a token of the algorithm none.
func UnsignedJWT(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(payload) + "."
}
