package trigger

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/systole-run/systole/internal/testenv"
)

const mainBranch = "repo:acme/shop:ref:refs/heads/main"

// patientIssuers wait for keys as long as the tests do.
func patientIssuers(now func() time.Time) *Issuers {
	issuers, _ := NewIssuers(IssuersConfig{})
	issuers.now, issuers.wait = now, patience
	return issuers
}

func oidcConfig(issuer *testenv.Issuer, issuers *Issuers) *OIDCConfig {
	if issuers == nil {
		issuers = patientIssuers(time.Now)
	}
	return &OIDCConfig{Issuer: issuer.URL, Audience: "systole", Issuers: issuers, Subjects: []OIDCSubject{
		{Subject: mainBranch, Name: "github", Scopes: []string{ScopeBeat, ScopeRun}},
		{Subject: "other", Audience: "elsewhere"},
		{Email: "cron@acme.example"},
	}}
}

func newIssuers(t testing.TB, cfg IssuersConfig) *Issuers {
	t.Helper()
	issuers, err := NewIssuers(cfg)
	if err != nil {
		t.Fatal(err)
	}
	issuers.wait = patience
	return issuers
}

func oidcAuthenticator(t testing.TB, cfg *OIDCConfig, tokens ...Token) *Authenticator {
	t.Helper()
	auth, err := NewAuthenticatorOf(AuthConfig{Tokens: tokens, OIDC: cfg})
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// bring asks the authenticator about a request with a bearer token.
func bring(t testing.TB, auth *Authenticator, token string) (Principal, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/heartbeat", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	return auth.Authenticate(request)
}

func reasonOf(err error) string {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

// R2.5, R5.1: a JWT lets in whom it is for, and nobody else.
func TestAJWTIsLetInWhereItsIssuerAudienceSubjectAndTimesAreRight(t *testing.T) {
	t.Parallel()
	issuer, other := testenv.NewIssuer(t, "rsa", "ec"), testenv.NewIssuer(t, "rsa")
	auth := oidcAuthenticator(t, oidcConfig(issuer, nil))
	private := issuer.Key("rsa").(*rsa.PrivateKey)
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	type changes = map[string]any
	with := func(c changes) string { return issuer.Token(t, "rsa", jose.RS256, c) }
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	tests := map[string]struct{ token, name, reason string }{
		"RS256":                         {issuer.Good(t), "github", ""},
		"PS512":                         {issuer.Token(t, "rsa", jose.PS512, nil), "github", ""},
		"ES256":                         {issuer.Token(t, "ec", jose.ES256, nil), "github", ""},
		"no key id":                     {testenv.SignJWT(t, private, "", jose.RS256, issuer.Claims(nil)), "github", ""},
		"several audiences":             {with(changes{"aud": []string{"a", "systole"}}), "github", ""},
		"a clock that is behind":        {with(changes{"iat": at(30 * time.Second), "nbf": at(30 * time.Second)}), "github", ""},
		"just expired":                  {with(changes{"exp": at(-30 * time.Second)}), "github", ""},
		"a verified email":              {with(changes{"sub": "1", "email": "cron@acme.example", "email_verified": true}), "cron@acme.example", ""},
		"another audience of a subject": {with(changes{"sub": "other", "aud": "elsewhere"}), "other", ""},

		"an email that is not verified":  {with(changes{"sub": "1", "email": "cron@acme.example", "email_verified": false}), "", ReasonEmail},
		"an email that says it in words": {with(changes{"sub": "1", "email": "cron@acme.example", "email_verified": "true"}), "", ReasonEmail},
		"an email alone":                 {with(changes{"sub": "1", "email": "cron@acme.example"}), "", ReasonEmail},
		"another audience":               {with(changes{"aud": "others"}), "", ReasonAudience},
		"no audience":                    {with(changes{"aud": nil}), "", ReasonAudience},
		"the audience of another":        {with(changes{"aud": "elsewhere"}), "", ReasonSubject},
		"another branch":                 {with(changes{"sub": mainBranch + "2"}), "", ReasonSubject},
		"no subject":                     {with(changes{"sub": nil}), "", ReasonSubject},
		"another issuer":                 {other.Good(t), "", ReasonIssuer},
		"another issuer's name":          {testenv.SignJWT(t, other.Key("rsa"), "rsa", jose.RS256, issuer.Claims(nil)), "", ReasonSignature},
		"expired":                        {with(changes{"exp": at(-2 * time.Minute)}), "", ReasonExpired},
		"no end":                         {with(changes{"exp": nil}), "", ReasonExpired},
		"not yet":                        {with(changes{"nbf": at(2 * time.Minute)}), "", ReasonFuture},
		"made in the future":             {with(changes{"iat": at(2 * time.Minute)}), "", ReasonFuture},
		"no signature":                   {testenv.UnsignedJWT(t, issuer.Claims(nil)), "", ReasonForm},
		"the public key as a secret":     {testenv.SignJWT(t, publicPEM, "rsa", jose.HS256, issuer.Claims(nil)), "", ReasonForm},
		"a signature that is cut":        {strings.TrimRight(issuer.Good(t), "=")[:len(issuer.Good(t))-8], "", ReasonSignature},
		"a huge one":                     {with(changes{"x": strings.Repeat("x", maxJWT)}), "", ReasonForm},
		"claims that are none":           {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + ".e30.AA", "", ReasonIssuer},
		"no JSON":                        {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + ".AA.AA", "", ReasonForm},
		"what is no JWT":                 {"a.b.c", "", ReasonUnknown},
	}
	begun := time.Now() // and not when a test has its turn, or what just expired would have expired for long
	auth.now = func() time.Time { return begun }
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			principal, err := bring(t, auth, test.token)
			if principal.Name != test.name || reasonOf(err) != test.reason {
				t.Errorf("got %+v and %q (%v), want %q and %q", principal, reasonOf(err), err, test.name, test.reason)
			}
			if err != nil && !errors.Is(err, ErrBadCredential) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnOpaqueTokenMayLookLikeAJWT(t *testing.T) {
	t.Parallel()
	issuer := testenv.NewIssuer(t, "rsa")
	opaque := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".a.b"
	auth := oidcAuthenticator(t, oidcConfig(issuer, nil), Token{Name: "opaque", Value: opaque})
	if principal, err := bring(t, auth, opaque); err != nil || principal.Name != "opaque" || principal.Kind != KindToken {
		t.Errorf("got %+v, %v", principal, err)
	}
}

// R2.5: the gateway serves while an issuer is away, and lets its tokens in as soon as it is back.
func TestAnIssuerThatIsAwayHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	issuer := testenv.NewIssuer(t, "rsa")
	issuer.SetAway(true)
	clock := &testClock{at: time.Now()}
	issuers := patientIssuers(clock.now)
	s := newSite(t, GatewayConfig{Access: Access{Auth: oidcAuthenticator(t, oidcConfig(issuer, issuers), Token{Name: "token", Value: "token"})}})
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", HeaderToken, "token"), 202)
	good := "Bearer " + issuer.Good(t)
	response := s.ask(t, "POST", "/heartbeat", "", "Authorization", good)
	checkProblem(t, response, 503)
	if response.Header.Get("Retry-After") != "10" {
		t.Errorf("Retry-After is %q", response.Header.Get("Retry-After"))
	}
	issuer.SetAway(false)
	checkProblem(t, s.ask(t, "POST", "/heartbeat", "", "Authorization", good), 503) // it is not asked again yet
	clock.move(keysPause)
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", "Authorization", good), 202)
	// Gone for good, its keys serve on, also after a reload.
	issuer.SetAway(true)
	clock.move(10 * keysFresh)
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", "Authorization", good), 202)
	if err := s.Reload(Access{Auth: oidcAuthenticator(t, oidcConfig(issuer, issuers))}); err != nil {
		t.Fatal(err)
	}
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", "Authorization", good), 202)
}

func TestAKeyThatIsNewIsFetchedAndOneThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	issuer := testenv.NewIssuer(t, "rsa")
	clock := &testClock{at: time.Now()}
	issuers := patientIssuers(clock.now)
	auth := oidcAuthenticator(t, oidcConfig(issuer, issuers))
	old := issuer.Good(t)
	if _, err := bring(t, auth, old); err != nil {
		t.Fatal(err)
	}
	issuer.AddKey(t, "ec2")
	next := issuer.Token(t, "ec2", jose.ES256, nil)
	issuer.DropKey("rsa")
	clock.move(keysPause)
	if _, err := bring(t, auth, next); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := bring(t, auth, old); reasonOf(err) != ReasonSignature {
		t.Errorf("the old key: %v", err)
	}
}

func TestAKeyThatWasTakenBackDoesNotCountOnceMoreAfterAQuietTime(t *testing.T) {
	t.Parallel()
	issuer := testenv.NewIssuer(t, "rsa", "ec")
	clock := &testClock{at: time.Now()}
	issuers := patientIssuers(clock.now)
	auth := oidcAuthenticator(t, oidcConfig(issuer, issuers))
	stolen := issuer.Good(t)
	if _, err := bring(t, auth, stolen); err != nil {
		t.Fatal(err)
	}
	issuer.DropKey("rsa")
	clock.move(keysFresh)
	if _, err := bring(t, auth, stolen); reasonOf(err) != ReasonSignature {
		t.Errorf("got %v", err)
	}
}

// Anybody can make up the name of a key: the issuer must not be asked for each.
func TestAFloodOfUnknownKeysReachesTheIssuerOnce(t *testing.T) {
	t.Parallel()
	issuer, stranger := testenv.NewIssuer(t, "rsa"), testenv.NewIssuer(t, "rsa")
	clock := &testClock{at: time.Now()}
	issuers := patientIssuers(clock.now)
	auth := oidcAuthenticator(t, oidcConfig(issuer, issuers))
	if _, err := bring(t, auth, issuer.Good(t)); err != nil {
		t.Fatal(err)
	}
	flood := func() {
		for i := range 50 {
			forged := testenv.SignJWT(t, stranger.Key("rsa"), fmt.Sprintf("made-up-%d", i), jose.RS256, issuer.Claims(nil))
			if _, err := bring(t, auth, forged); reasonOf(err) != ReasonSignature {
				t.Fatalf("a forged token: %v", err)
			}
		}
	}
	flood()
	if got := issuer.Fetches(); got != 1 {
		t.Errorf("the issuer was asked %d times", got)
	}
	clock.move(keysPause)
	flood()
	if got := issuer.Fetches(); got != 2 {
		t.Errorf("the issuer was asked %d times", got)
	}
	if _, err := bring(t, auth, issuer.Good(t)); err != nil {
		t.Error(err)
	}
}

func TestASlowIssuerHoldsUpOnlyWhoWaitsForItsFirstKeys(t *testing.T) {
	t.Parallel()
	issuer := testenv.NewIssuer(t, "rsa")
	release := issuer.Hold()
	auth := oidcAuthenticator(t, oidcConfig(issuer, nil), Token{Name: "token", Value: "token"})
	waited := make(chan error, 1)
	good := issuer.Good(t)
	go func() {
		request, err := http.NewRequest(http.MethodGet, "http://a/heartbeat", http.NoBody)
		if err == nil {
			request.Header.Set("Authorization", "Bearer "+good)
			_, err = auth.Authenticate(request)
		}
		waited <- err
	}()
	if _, err := bring(t, auth, "token"); err != nil {
		t.Error(err)
	}
	release()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

func TestAnIssuerThatCallsItselfOtherwiseIsNotBelieved(t *testing.T) {
	t.Parallel()
	issuer := testenv.NewIssuer(t, "rsa")
	issuer.Say("https://issuer.example")
	if _, err := bring(t, oidcAuthenticator(t, oidcConfig(issuer, nil)), issuer.Good(t)); !errors.Is(err, ErrUndecided) || reasonOf(err) != ReasonUndecided {
		t.Errorf("got %v", err)
	}
	if err := newIssuers(t, IssuersConfig{}).Check(t.Context(), issuer.URL); err == nil {
		t.Error("the check found nothing")
	}
}

// R5.1: an issuer inside, such as a cluster's, has a certificate of a CA that nobody outside knows.
func TestAnIssuerWithAPrivateCAIsBelievedWhereThatIsTrusted(t *testing.T) {
	t.Parallel()
	ca, other := testenv.NewAuthority(t), testenv.NewAuthority(t)
	issuer := testenv.NewTLSIssuer(t, ca.Issue(t, testenv.LoopbackServer(1)), "rsa")
	file := other.WriteCA(t)
	clock := &testClock{at: time.Now()}
	issuers := newIssuers(t, IssuersConfig{CAFile: file})
	issuers.now = clock.now
	issuers.client.Transport.(boundedTransport).RoundTripper.(trustingTransport).now = clock.now
	auth := oidcAuthenticator(t, oidcConfig(issuer, issuers))
	if _, err := bring(t, auth, issuer.Good(t)); !errors.Is(err, ErrUndecided) {
		t.Errorf("with another CA: %v", err)
	}
	pem, err := os.ReadFile(ca.WriteCA(t))
	if err == nil {
		err = os.WriteFile(file, pem, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	clock.move(2 * keysPause)
	if principal, err := bring(t, auth, issuer.Good(t)); err != nil || principal.Name != "github" {
		t.Errorf("once its own CA is in the file: %+v, %v", principal, err)
	}
	if err := newIssuers(t, IssuersConfig{}).Check(t.Context(), issuer.URL); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("without a file: %v", err)
	}
}

func TestIssuersNeedAFileWithCertificates(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.crt")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for cfg, want := range map[IssuersConfig]string{
		{CAFile: empty}:                                   "empty.crt: found no certificate in PEM",
		{CAFile: empty + ".absent"}:                       "no such file",
		{CAFile: empty, Transport: http.DefaultTransport}: "allowed is one of them",
	} {
		if _, err := NewIssuers(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// roundTrips answers requests in place of a network.
type roundTrips func(*http.Request) string

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(f(r))), Header: http.Header{"Content-Type": {"application/json"}}, Request: r}, nil
}

func TestAnIssuerFarAwayMakesNobodyAskThisMachine(t *testing.T) {
	t.Parallel()
	for _, keys := range []string{"http://127.0.0.1:6379/keys", "http://localhost/keys", "http://10.0.0.1/keys", "file:///etc/passwd", ""} {
		asked := ""
		issuers := newIssuers(t, IssuersConfig{Transport: roundTrips(func(r *http.Request) string {
			if r.URL.Host != "issuer.example" {
				asked = r.URL.String()
			}
			return fmt.Sprintf(`{"issuer":"https://issuer.example","jwks_uri":%q}`, keys)
		})})
		if err := issuers.Check(t.Context(), "https://issuer.example"); err == nil || asked != "" {
			t.Errorf("keys at %q: asked %q, %v", keys, asked, err)
		}
	}
}

func TestIssuersAreReachedOverHTTPSOrOnLoopback(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]bool{
		"https://token.actions.githubusercontent.com": true, "http://127.0.0.1:8080/realm": true, "http://[::1]:1": true, "http://localhost:1": true,
		"http://issuer.example": false, "issuer.example": false, "https://": false, "https://a?b": false, "https://a#": false, "https://u:p@a": false, "ftp://a": false, "http://127.0.0.1.example": false,
	} {
		if got := ValidIssuer(issuer); got != want {
			t.Errorf("%s: got %v", issuer, got)
		}
	}
}

// FuzzJWT: whatever comes as a token is no panic, and only what the issuer has signed is let in.
func FuzzJWT(f *testing.F) {
	issuer := testenv.NewIssuer(f, "rsa")
	good := issuer.Good(f)
	auth := oidcAuthenticator(f, oidcConfig(issuer, nil))
	f.Add(good)
	f.Add(testenv.UnsignedJWT(f, issuer.Claims(nil)))
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, token string) {
		request := &http.Request{Method: http.MethodGet, Header: http.Header{"Authorization": {"Bearer " + token}}}
		// The last letter of a signature has spellings that mean the same.
		if _, err := auth.Authenticate(request); err == nil && !strings.HasPrefix(strings.TrimLeft(token, " "), good[:strings.LastIndexByte(good, '.')]) {
			t.Errorf("let in: %q", token)
		}
	})
}
