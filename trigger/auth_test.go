package trigger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

const secret = "s3cret-that-must-not-show"

func sumOf(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

func authenticator(t testing.TB, tokens ...Token) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(tokens)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// R2.5, R5.1
func TestAuthenticatorTakesTheTokenFromHeadersOnly(t *testing.T) {
	t.Parallel()
	a := authenticator(t, Token{Name: "first", Value: secret}, Token{Name: "second", SHA256: strings.ToUpper(sumOf("other"))})
	const bearer = "Authorization"
	tests := map[string]struct {
		header http.Header
		want   string
		err    error
	}{
		"bearer":                      {http.Header{bearer: {"Bearer " + secret}}, "first", nil},
		"bearer in small letters":     {http.Header{bearer: {"bearer " + secret}}, "first", nil},
		"the header of our own":       {http.Header{HeaderToken: {"other"}}, "second", nil},
		"beside a proxy's credential": {http.Header{bearer: {"Basic eDp5"}, HeaderToken: {"other"}}, "second", nil},
		"nothing":                     {http.Header{}, "", ErrNoCredential},
		"a wrong token":               {http.Header{bearer: {"Bearer wrong"}}, "", ErrBadCredential},
		"the sum in place of a token": {http.Header{bearer: {"Bearer " + sumOf("other")}}, "", ErrBadCredential},
		"an empty token":              {http.Header{bearer: {"Bearer "}}, "", ErrBadCredential},
		"another scheme":              {http.Header{bearer: {"Basic " + secret}}, "", ErrBadCredential},
		"a token without its scheme":  {http.Header{bearer: {secret}}, "", ErrBadCredential},
		"two tokens, both right":      {http.Header{bearer: {"Bearer " + secret}, HeaderToken: {"other"}}, "", ErrBadCredential},
		"two lines":                   {http.Header{bearer: {"Bearer " + secret, "Bearer " + secret}}, "", ErrBadCredential},
		"a prefix of the token":       {http.Header{bearer: {"Bearer " + secret[:len(secret)-1]}}, "", ErrBadCredential},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequest(http.MethodGet, "/heartbeat?token="+secret+"&access_token="+secret, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header = test.header
			principal, err := a.Authenticate(request)
			if principal.Name != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q and %v, want %q and %v", principal.Name, err, test.want, test.err)
			}
		})
	}
}

func TestPrincipalIsAllowedItsScopesInItsGroups(t *testing.T) {
	t.Parallel()
	a := authenticator(t, Token{Name: "plain", Value: "a"}, Token{Name: "ops", Value: "b", Scopes: []string{ScopeRun, ScopeRead}, Groups: []string{"billing"}})
	plain, ops := a.entries[0].principal, a.entries[1].principal
	tests := []struct {
		who          Principal
		scope, group string
		want         bool
	}{
		{plain, ScopeBeat, "default", true},
		{plain, ScopeBeat, "", true},
		{plain, ScopeRun, "default", false},
		{plain, ScopeWrite, "", false},
		{ops, ScopeRun, "billing", true},
		{ops, ScopeRun, "default", false},
		{ops, ScopeBeat, "billing", false},
		{ops, ScopeRead, "", false},
		{Anonymous(), ScopeWrite, "", true},
		{Principal{}, ScopeBeat, "default", false},
	}
	for _, test := range tests {
		if got := test.who.Allowed(test.scope, test.group); got != test.want {
			t.Errorf("%q, %s in %q: got %v, want %v", test.who.Name, test.scope, test.group, got, test.want)
		}
	}
}

// R5.5
func TestAuthenticatorListsEverythingWrongWithItsTokensAndNoSecret(t *testing.T) {
	t.Parallel()
	_, err := NewAuthenticator([]Token{
		{Name: "a b", Value: secret + " with a space"},
		{Name: "both", Value: secret, SHA256: sumOf(secret)},
		{Name: "short", SHA256: secret},
		{Name: "none", Scopes: []string{"beats"}, Groups: []string{"Billing"}},
		{Name: "good", Value: secret},
		{Name: "good", SHA256: sumOf(secret)},
	})
	var invalid InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want an InvalidError", err)
	}
	var fields []string
	for _, problem := range invalid {
		fields = append(fields, problem.Field)
	}
	want := "tokens[0].name tokens[0].value tokens[1].value tokens[2].sha256 tokens[3].scopes tokens[3].groups tokens[3].value tokens[5].name tokens[5]"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), sumOf(secret)) {
		t.Errorf("the error shows a secret: %v", err)
	}
	if _, err := NewAuthenticator(nil); err == nil {
		t.Error("no tokens at all were accepted")
	}
}

func TestTokenNeverPrintsItsSecret(t *testing.T) {
	t.Parallel()
	token := Token{Name: "cron", Value: secret, Scopes: []string{ScopeBeat}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", token, "pointer", &token, "list", []Token{token})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", token, "list", []Token{token})
	encoded, err := json.Marshal(map[string]any{"token": token})
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %s %q %x %d %v %#v", token, token, token, token, token, token, token, &token, []Token{token}) + log.String() + string(encoded)
	if strings.Contains(printed, secret) || strings.Contains(printed, hex.EncodeToString([]byte(secret))) {
		t.Errorf("the secret shows: %s", printed)
	}
	if !strings.Contains(printed, "cron") {
		t.Error("the name does not show")
	}
}

func ExampleNewAuthenticator() {
	auth, err := NewAuthenticator([]Token{
		{Name: "cron", Value: "a-long-random-text"},
		{Name: "billing", Value: "another-one", Scopes: []string{ScopeBeat, ScopeRun}, Groups: []string{"billing"}},
	})
	if err != nil {
		panic(err)
	}
	request, err := http.NewRequest(http.MethodPost, "/heartbeat/billing", nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer another-one")
	principal, err := auth.Authenticate(request)
	fmt.Println(principal.Name, err, principal.Allowed(ScopeBeat, "billing"), principal.Allowed(ScopeBeat, "default"))
	// Output: billing <nil> true false
}

func ExampleNewAuthenticatorOf() {
	auth, err := NewAuthenticatorOf(AuthConfig{
		Tokens: []Token{{Name: "cron", Value: "a-long-random-text"}},
		HMAC:   &HMACConfig{Keys: []Token{{Name: "backup", Value: "a-key-of-32-characters-or-more-than-that"}}, Window: time.Minute},
	})
	if err != nil {
		panic(err)
	}
	request, err := http.NewRequest(http.MethodPost, "/heartbeat", http.NoBody)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Signature-Input", `sig=("@method" "@path" "@query");created=1;keyid="backup";alg="hmac-sha256"`)
	request.Header.Set("Signature", "sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")
	_, err = auth.Authenticate(request)
	var refused *RefusedError
	fmt.Println(err, errors.As(err, &refused), refused.Kind, refused.Reason, refused.Claimed)
	// Output: the credential is not accepted true hmac signature "backup"
}
