package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/testenv"
)

const signingKey = "a-key-of-more-than-32-characters-that-signs"

// allKinds are settings of every kind of credential, on a listener with TLS.
func allKinds(t *testing.T) string {
	t.Helper()
	ca := testenv.NewAuthority(t)
	certFile, keyFile := testenv.WritePair(t, ca.Issue(t, testenv.LoopbackServer(1)))
	return `gateway:
  listen: ':8443'
  tls: {cert_file: ` + certFile + `, key_file: ` + keyFile + `}
  auth:
    tokens: [{name: cron, value: 'env:T', expires: 2999-01-31T00:00:00Z}]
    hmac: {window: 1m, keys: [{name: signer, value: 'env:K', scopes: [beat, run]}]}
    oidc:
      issuer: https://token.actions.githubusercontent.com
      audience: https://systole.example
      ca_file: ` + ca.WriteCA(t) + `
      clock_skew: 30s
      subjects:
        - repo:acme/shop:ref:refs/heads/main
        - {email: cron@acme.example, name: google, issuer: 'https://accounts.google.com', audience: other, groups: [reports]}
    mtls: {ca_file: ` + ca.WriteCA(t) + `, subjects: [{uri: 'spiffe://acme.example/cron', name: spiffe}, {cn: old, name: old}]}
`
}

// R2.5, R5.1
func TestEveryKindOfCredentialIsReadAndShownWithoutItsSecret(t *testing.T) {
	t.Parallel()
	cfg := load(t, options(t, allKinds(t), "T=0123456789abcdef", "K="+signingKey))
	auth := cfg.Gateway.Auth
	if auth.Mode != "token,hmac,oidc,mtls" || auth.Open() || !auth.Has(config.AuthMTLS) {
		t.Errorf("mode is %q", auth.Mode)
	}
	if rest := auth.Without(config.AuthHMAC); rest.Mode != "token,oidc,mtls" || rest.Has(config.AuthHMAC) {
		t.Errorf("without hmac the mode is %q", rest.Mode)
	}
	if auth.HMAC.Keys[0].Value.Reveal() != signingKey || auth.HMAC.Window != time.Minute || auth.Tokens[0].Expires.Year() != 2999 {
		t.Errorf("keys are %+v, tokens %+v", auth.HMAC, auth.Tokens)
	}
	subjects := auth.OIDC.Subjects
	if len(subjects) != 2 || subjects[0].Subject != "repo:acme/shop:ref:refs/heads/main" || subjects[1].Audience != "other" || auth.OIDC.ClockSkew != 30*time.Second {
		t.Errorf("OIDC is %+v", auth.OIDC)
	}
	if auth.MTLS.Subjects[0].URI != "spiffe://acme.example/cron" {
		t.Errorf("mTLS is %+v", auth.MTLS)
	}
	var shown strings.Builder
	if err := cfg.Show(&shown); err != nil {
		t.Fatal(err)
	}
	contains(t, shown.String(), "repo:acme/shop", "spiffe://acme.example/cron", "clock_skew: 30s", `"name":"signer"`, "2999-01-31")
	if strings.Contains(shown.String(), signingKey) || !slices.Contains(cfg.Secrets(), signingKey) {
		t.Error("the key shows")
	}
}

func TestWhatEachKindOfCredentialNeedsIsSaidAllAtOnce(t *testing.T) {
	t.Parallel()
	const gateway = "gateway.auth."
	key := `{name: a, value: 'env:K'}`
	for name, test := range map[string]struct{ auth, want string }{
		"nothing of anything":         {"mode: 'token,hmac,oidc,mtls'", "hmac.keys mtls.ca_file mtls.subjects oidc.subjects tokens tls"},
		"a kind that the mode lacks":  {"mode: token, tokens: [{name: b, value: 'env:T'}], oidc: {issuer: 'https://a', audience: b, subjects: [c]}", "mode"},
		"a window beyond the memory":  {"hmac: {window: 3m, keys: [" + key + "]}", "hmac.window"},
		"a window of nothing":         {"hmac: {window: 1ms, keys: [" + key + "]}", "hmac.window"},
		"a weak key":                  {"hmac: {keys: [{name: a, value: 'env:T'}]}", "hmac.keys[0].value"},
		"the sum of a key":            {"hmac: {keys: [{name: a, sha256: " + strings.Repeat("ab", 32) + "}]}", "hmac.keys[0].sha256"},
		"one name for two":            {"tokens: [{name: a, value: 'env:T'}], hmac: {keys: [" + key + "]}", "hmac.keys[0].name"},
		"no issuer, no audience":      {"oidc: {subjects: [a]}", "oidc.audience oidc.issuer"},
		"an issuer in the clear":      {"oidc: {issuer: 'http://issuer.example', audience: a, subjects: [b]}", "oidc.issuer"},
		"a subject twice":             {"oidc: {issuer: 'https://a', audience: a, subjects: [b, b]}", "oidc.subjects[1]"},
		"a subject and an email":      {"oidc: {issuer: 'https://a', audience: a, subjects: [{subject: b, email: c}]}", "oidc.subjects[0]"},
		"a subject that is a number":  {"oidc: {issuer: 'https://a', audience: a, subjects: [1]}", "oidc.subjects[0]"},
		"a scope that is none":        {"oidc: {issuer: 'https://a', audience: a, subjects: [{subject: b, scopes: [all]}]}", "oidc.subjects[0].scopes"},
		"a skew without end":          {"oidc: {issuer: 'https://a', audience: a, clock_skew: 1h, subjects: [b]}", "oidc.clock_skew"},
		"an issuer's CA that is none": {"oidc: {issuer: 'https://a', audience: a, ca_file: /dev/null, subjects: [b]}", "oidc.ca_file"},
		"a CA without subjects":       {"oidc: {ca_file: /nowhere}", "oidc.ca_file oidc.subjects"},
		"a certificate without TLS":   {"mtls: {ca_file: /nowhere, subjects: [{uri: a, cn: b, name: c}]}", "mtls.ca_file mtls.subjects[0] tls"},
		"a time that is none":         {"tokens: [{name: b, value: 'env:T', expires: tomorrow}]", "tokens[0].expires"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := keysOf(problems(t, options(t, "gateway: {auth: {"+test.auth+"}}", "T=0123456789abcdef", "K="+signingKey)))
			var want []string
			for _, key := range strings.Fields(test.want) {
				if key == "tls" {
					key = "gateway.tls.cert_file"
				} else {
					key = gateway + key
				}
				want = append(want, key)
			}
			slices.Sort(want)
			if !slices.Equal(found, want) {
				t.Errorf("problems are with %q, want %q", found, want)
			}
		})
	}
}

// The window of signatures gives way to JetStream's memory where nothing else was said.
func TestSignaturesAreGoodForNoLongerThanJetStreamRemembers(t *testing.T) {
	t.Parallel()
	const keys = "gateway: {auth: {hmac: {keys: [{name: a, value: 'env:K'}]}}}\n"
	for memory, want := range map[string]time.Duration{"10s": 10 * time.Second, "2m": 2 * time.Minute, "1h": 5 * time.Minute} {
		if got := load(t, options(t, keys+"nats: {duplicate_window: "+memory+"}\n", "K="+signingKey)).Gateway.Auth.HMAC.Window; got != want {
			t.Errorf("with a memory of %s the window is %s", memory, got)
		}
	}
	dev := options(t, keys, "K="+signingKey)
	dev.Roles = []config.Role{config.RoleDev}
	contains(t, one(t, dev, "gateway.auth.mode").String(), "another kind beside it in dev")
	contains(t, one(t, options(t, "console: {auth: {hmac: {keys: [{name: a, value: 'env:K'}]}}}\n", "K="+signingKey), "console.auth.mode").String(), "only the gateway")
}

func TestATokenThatEndsSoonIsWarnedAbout(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]string{-time.Hour: "has expired", 3 * 24 * time.Hour: "within a week", 30 * 24 * time.Hour: ""} {
		expires := time.Now().Add(left).UTC().Format(time.RFC3339)
		notes := strings.Join(load(t, options(t, "gateway: {auth: {tokens: [{name: a, value: 'env:T', expires: '"+expires+"'}]}}", "T=0123456789abcdef")).Warnings(), "\n")
		if (want == "") != (notes == "") || !strings.Contains(notes, want) {
			t.Errorf("%s before its end the warning is %q", left, notes)
		}
	}
}

// R5.1: what is at a path is read anew with each load, so that a reload takes over what was put there.
func TestASecretsFileIsReadAnewWithEachLoad(t *testing.T) {
	t.Parallel()
	file := write(t, "token", "first-0123456789abcdef\n")
	opts := options(t, "gateway: {auth: {tokens: [{name: a, value_file: "+file+"}]}}")
	before := load(t, opts)
	if err := os.WriteFile(file, []byte("second-0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	after := load(t, opts)
	if after.Gateway.Auth.Tokens[0].Value.Reveal() != "second-0123456789abcdef" {
		t.Error("the old secret stands")
	}
	if atOnce, onRestart := before.Changed(after); !slices.Equal(atOnce, []string{"gateway.auth.tokens"}) || onRestart != nil {
		t.Errorf("changed are %q and %q", atOnce, onRestart)
	}
}
