package trigger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const signingKey = "a-key-of-more-than-32-characters-that-signs"

// signed makes a request and signs it with its key, over the three components that every signature must cover, the digest
// where there is a body, and more. It is the other side of the gateway's check and shares nothing with it.
type signing struct {
	keyID, key string
	created    time.Time
	params     string   // more of them, such as ;nonce="a"
	more       []string // components
}

func (s signing) headers(method, path, query, body string, headers ...string) []string {
	covered := []string{"@method", "@path", "@query"}
	values := map[string]string{"@method": method, "@path": path, "@query": "?" + query}
	if body != "" {
		sum := sha256.Sum256([]byte(body))
		digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		headers = append(headers, "Content-Digest", digest)
		covered = append(covered, "content-digest")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		values[strings.ToLower(headers[i])] = headers[i+1]
	}
	covered = append(covered, s.more...)
	params := `("` + strings.Join(covered, `" "`) + fmt.Sprintf(`");created=%d;keyid="%s";alg="hmac-sha256"%s`, s.created.Unix(), s.keyID, s.params)
	base := ""
	for _, component := range covered {
		base += fmt.Sprintf("%q: %s\n", component, values[component])
	}
	mac := hmac.New(sha256.New, []byte(s.key))
	mac.Write([]byte(base + `"@signature-params": ` + params))
	return append(headers, "Signature-Input", "sig="+params, "Signature", "sig=:"+base64.StdEncoding.EncodeToString(mac.Sum(nil))+":")
}

func goodSigning() signing { return signing{keyID: "cron", key: signingKey, created: time.Now()} }

func hmacAccess(t testing.TB, keys ...Token) Access {
	t.Helper()
	if keys == nil {
		keys = []Token{{Name: "cron", Value: signingKey, Scopes: []string{ScopeBeat, ScopeRun}}}
	}
	auth, err := NewAuthenticatorOf(AuthConfig{Tokens: []Token{{Name: "token", Value: "token"}}, HMAC: &HMACConfig{Keys: keys, Window: 2 * time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	return Access{Auth: auth}
}

// R2.5, R5.1: a signature is good for the request that it was made for, and for no other.
func TestASignedRequestIsLetInAndATamperedOneIsNot(t *testing.T) {
	t.Parallel()
	s := newSite(t, GatewayConfig{Access: hmacAccess(t), Rate: -1})
	const body = `{"note":"nightly"}`
	tests := []struct {
		name                      string
		signing                   signing
		method, path, query, body string // that are signed
		sent                      string // "method path?query body", where another request is sent
		status                    int
	}{
		{"a POST with a body", goodSigning(), "POST", "/heartbeat", "", body, "", 202},
		{"a POST without one", goodSigning(), "POST", "/heartbeat/a", "", "", "", 202},
		{"a GET", goodSigning(), "GET", "/heartbeat", "", "", "", 202},
		{"a query", goodSigning(), "GET", "/heartbeat", "wait=1ms", "", "", 202},
		{"a run", goodSigning(), "POST", "/run/default/a", "", `{"day":"1"}`, "", 202},
		{"a nonce, a tag and an end", signing{"cron", signingKey, time.Now(), fmt.Sprintf(`;nonce="a b";tag="x";expires=%d`, time.Now().Add(time.Hour).Unix()), nil}, "GET", "/heartbeat", "", "", "", 202},
		{"more components", signing{"cron", signingKey, time.Now(), "", []string{"content-type"}}, "POST", "/heartbeat", "", body, "", 202},
		{"another method", goodSigning(), "POST", "/heartbeat", "", "", "GET /heartbeat", 401},
		{"another path", goodSigning(), "POST", "/heartbeat/a", "", "", "POST /heartbeat/b", 401},
		{"another query", goodSigning(), "POST", "/heartbeat", "", "", "POST /heartbeat?wait=1s", 401},
		{"another body", goodSigning(), "POST", "/heartbeat", "", body, "POST /heartbeat {\"note\":\"Nightly\"}", 401},
		{"a body where none was signed", goodSigning(), "POST", "/heartbeat", "", "", "POST /heartbeat " + body, 401},
		{"no body where one was signed", goodSigning(), "POST", "/heartbeat", "", body, "POST /heartbeat", 401},
		{"another key", signing{"cron", signingKey + "x", time.Now(), "", nil}, "GET", "/heartbeat", "", "", "", 401},
		{"a key that nobody has", signing{"nobody", signingKey, time.Now(), "", nil}, "GET", "/heartbeat", "", "", "", 401},
		{"one of long ago", signing{"cron", signingKey, time.Now().Add(-2 * time.Minute), "", nil}, "GET", "/heartbeat", "", "", "", 401},
		{"one of the future", signing{"cron", signingKey, time.Now().Add(time.Minute), "", nil}, "GET", "/heartbeat", "", "", "", 401},
		{"one that ended", signing{"cron", signingKey, time.Now(), fmt.Sprintf(";expires=%d", time.Now().Add(-time.Second).Unix()), nil}, "GET", "/heartbeat", "", "", "", 401},
		{"a parameter twice", signing{"cron", signingKey, time.Now(), `;keyid="cron"`, nil}, "GET", "/heartbeat", "", "", "", 401},
		{"a parameter that is none", signing{"cron", signingKey, time.Now(), `;req=1`, nil}, "GET", "/heartbeat", "", "", "", 401},
		{"a component twice", signing{"cron", signingKey, time.Now(), "", []string{"@path"}}, "GET", "/heartbeat", "", "", "", 401},
		{"a component that is not offered", signing{"cron", signingKey, time.Now(), "", []string{"date"}}, "GET", "/heartbeat", "", "", "", 401},
	}
	begun := time.Now() // and not when a test has its turn, or signatures of the future would be good
	s.access.Load().auth.now = func() time.Time { return begun }
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var more []string
			if test.body != "" {
				more = []string{"Content-Type", "application/json"}
			}
			headers := test.signing.headers(test.method, test.path, test.query, test.body, more...)
			method, target, body := test.method, test.path, test.body
			if test.query != "" {
				target += "?" + test.query
			}
			if test.sent != "" {
				method, target, _ = strings.Cut(test.sent, " ")
				target, body, _ = strings.Cut(target, " ")
			}
			response := s.ask(t, method, target, body, headers...)
			if test.status == 202 {
				decode[acceptedAnswer](t, response, 202)
				return
			}
			checkProblem(t, response, test.status)
		})
	}
}

// A key that is not covered could be changed on the way, and each would be a new beat.
func TestAnIdempotencyKeyOfASignedRequestMustBeSigned(t *testing.T) {
	t.Parallel()
	s := newSite(t, GatewayConfig{Access: hmacAccess(t)})
	covering := goodSigning()
	covering.more = []string{"idempotency-key"}
	headers := covering.headers("POST", "/heartbeat", "", "", "Idempotency-Key", "a")
	if got := decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", headers...), 202); got.BeatID != "default:a" || got.Duplicate {
		t.Errorf("got %+v", got)
	}
	checkProblem(t, s.ask(t, "POST", "/heartbeat", "", append(headers, "Idempotency-Key", "b")...), 401)
	checkProblem(t, s.ask(t, "POST", "/heartbeat", "", append(goodSigning().headers("POST", "/heartbeat", "", ""), "Idempotency-Key", "b")...), 401)
	// Signed again, it is another signature and the same beat.
	covering.created = covering.created.Add(-time.Second)
	headers = covering.headers("POST", "/heartbeat", "", "", "Idempotency-Key", "a")
	if got := decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", headers...), 202); !got.Duplicate {
		t.Errorf("got %+v", got)
	}
}

// R2.5: a signed request that somebody kept and sends again does nothing, to whatever gateway; and its sender, who may
// have missed the answer, is told that it was taken.
func TestASignedRequestCountsOnceHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	first := newSiteOn(t, GatewayConfig{Access: hmacAccess(t)}, ServerConfig{}, nc, subjects)
	second := newSiteOn(t, GatewayConfig{Access: hmacAccess(t)}, ServerConfig{}, nc, subjects)
	for _, path := range []string{"/heartbeat/a", "/run/default/a"} {
		headers := goodSigning().headers("POST", path, "", "")
		for i, s := range []*site{first, first, second, second} {
			answer := decode[struct {
				Duplicate bool `json:"duplicate"`
			}](t, s.ask(t, "POST", path, "", headers...), 202)
			if answer.Duplicate != (i > 0) {
				t.Errorf("%s: answer %d says duplicate %v", path, i+1, answer.Duplicate)
			}
		}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := js.Stream(t.Context(), subjects.RunStream())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := runs.Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("the stream of runs holds %v, %v", info.State.Msgs, err)
	}
}

// R2.5: what makes a replay the same run goes along also where a key is what JetStream knows repeats by.
func TestASignedRunNowHasThePlaceOfItsSignatureBesideAKeyToo(t *testing.T) {
	t.Parallel()
	s := newSite(t, GatewayConfig{Access: hmacAccess(t)})
	runs := newInbox[RunRequest]()
	consume(t, s.nc, RunConsumerConfig{Prefix: s.subjects.Prefix}, runs.take)
	covering := goodSigning()
	covering.more = []string{"idempotency-key"}
	headers := covering.headers("POST", "/run/default/orders", "", "", "Idempotency-Key", "a")
	decode[runAnswer](t, s.ask(t, "POST", "/run/default/orders", "", headers...), 202)
	run := runs.next(t)
	if at, number := run.Place(); run.ID != "default.orders:a" || at.Unix() != covering.created.Unix() || number == run.Seq {
		t.Errorf("%+v is placed at %s, %d", run, at, number)
	}
}

func TestAuthenticatorRefusesASignatureBesideAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, GatewayConfig{Access: hmacAccess(t)})
	headers := goodSigning().headers("POST", "/heartbeat", "", "")
	checkProblem(t, s.ask(t, "POST", "/heartbeat", "", append(headers, HeaderToken, "token")...), 401)
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", append(headers, "Authorization", "Basic eDp5")...), 202) // of a proxy
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", HeaderToken, "token"), 202)
}

// From the first moment at which a signature is taken to the last, no more time may pass than JetStream remembers.
func TestASignatureIsGoodForNoLongerThanItsWindow(t *testing.T) {
	t.Parallel()
	created := time.Unix(1_800_000_000, 0)
	for _, window := range []time.Duration{time.Second, 10 * time.Second, DefaultHMACWindow, time.Hour} {
		auth, err := NewAuthenticatorOf(AuthConfig{HMAC: &HMACConfig{Keys: []Token{{Name: "cron", Value: signingKey}}, Window: window}})
		if err != nil {
			t.Fatal(err)
		}
		good := func(at time.Time) bool {
			sign := goodSigning()
			sign.created = created
			_, err := authenticateAt(t, auth, at, sign.headers("GET", "/heartbeat", "", "")...)
			return err == nil
		}
		lead := min(window/10, 30*time.Second)
		for _, test := range []struct {
			at   time.Duration
			want bool
		}{{-lead - 1, false}, {-lead, true}, {0, true}, {window - lead - 1, true}, {window - lead, false}} {
			if got := good(created.Add(test.at)); got != test.want {
				t.Errorf("window %s: %s after it was made it is good: %v", window, test.at, got)
			}
		}
	}
}

// authenticateAt asks the authenticator about a GET of /heartbeat at a time.
func authenticateAt(t testing.TB, auth *Authenticator, at time.Time, headers ...string) (Principal, error) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://a/heartbeat", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	moved := *auth
	moved.now = func() time.Time { return at }
	return moved.Authenticate(request)
}

// R5.1: two keys at once, so that one can be replaced by the other.
func TestTokensAndKeysEndWhenTheyExpire(t *testing.T) {
	t.Parallel()
	end := time.Unix(1_800_000_000, 0)
	auth, err := NewAuthenticatorOf(AuthConfig{
		Tokens: []Token{{Name: "old", Value: "old", Expires: end}, {Name: "new", Value: "new"}},
		HMAC:   &HMACConfig{Keys: []Token{{Name: "cron", Value: signingKey, Expires: end}, {Name: "next", Value: signingKey + "2"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		at   time.Time
		name string
		ok   bool
	}{{end.Add(-1), "old", true}, {end, "old", false}, {end, "new", true}, {end.Add(-1), "cron", true}, {end, "cron", false}, {end, "next", true}} {
		headers := []string{HeaderToken, test.name}
		if test.name == "cron" || test.name == "next" {
			key := map[string]string{"cron": signingKey, "next": signingKey + "2"}[test.name]
			headers = signing{keyID: test.name, key: key, created: end.Add(-time.Second)}.headers("GET", "/heartbeat", "", "")
		}
		principal, err := authenticateAt(t, auth, test.at, headers...)
		var refused *RefusedError
		if test.ok && (err != nil || principal.Name != test.name) || !test.ok && (!errors.As(err, &refused) || refused.Reason != ReasonExpired || refused.Name != test.name) {
			t.Errorf("%s at %s: %+v, %v", test.name, test.at, principal, err)
		}
	}
}

// FuzzSignature: whatever the headers say, it is no panic, and what is let in was signed with the key.
func FuzzSignature(f *testing.F) {
	good := goodSigning().headers("GET", "/heartbeat", "", "")
	f.Add(good[1], good[3], "")
	f.Add(`sig=("@method" "@path" "@query" "content-digest");created=1;keyid="cron";alg="hmac-sha256"`, "sig=:AAAA:", "sha-256=:AAAA:")
	f.Add(`sig=();created=;keyid="`, "sig=::", "x")
	auth := hmacAccess(f).Auth
	f.Fuzz(func(t *testing.T, input, signature, digest string) {
		request := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/heartbeat"}, Header: http.Header{"Signature-Input": {input}, "Signature": {signature}, "Content-Digest": {digest}}, Body: http.NoBody}
		sig, parsed := parseSignature(request.Header)
		if _, err := auth.Authenticate(request); err == nil && (!parsed || sig.keyID != "cron" || input != good[1] || signature != good[3]) {
			t.Errorf("let in: %q %q", input, signature)
		}
	})
}
