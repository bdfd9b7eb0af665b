package webhook_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/secrets"
	"github.com/systole-run/systole/executor/webhook"
	"github.com/systole-run/systole/store"
)

// signingSecret is a secret of Standard Webhooks made of one letter.
func signingSecret(letter string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32)))
}

// runWith executes the task with secrets by the names of variables.
func (f *fixture) runWith(t *testing.T, values map[string]string) (executor.Result, string) {
	t.Helper()
	opened, err := secrets.New(secrets.Config{Allow: []string{"*/* env:*"}, LookupEnv: func(name string) (string, bool) {
		value, set := values[name]
		return value, set
	}})
	if err != nil {
		t.Fatal(err)
	}
	result := opened.Guard(f.Executor).Execute(t.Context(), f.task)
	log := string(f.log.Snapshot())
	for name, value := range values {
		if len(value) >= 16 && strings.Contains(log+fmt.Sprint(result.Err), value) {
			t.Errorf("%s shows: error %v, log %q", name, result.Err, log)
		}
	}
	return result, log
}

func TestARequestIsSignedSoThatEachKnownSecretVerifiesIt(t *testing.T) {
	t.Parallel()
	old, fresh, foreign := signingSecret("a"), signingSecret("b"), signingSecret("c")
	verified := map[string]error{}
	f := newFixture(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for name, known := range map[string]string{"old": old, "new": fresh, "foreign": foreign} {
			receiver, err := standardwebhooks.NewWebhook(known)
			if err != nil {
				t.Error(err)
				return
			}
			verified[name] = receiver.VerifyIgnoringTimestamp(body, r.Header)
		}
		receiver, _ := standardwebhooks.NewWebhook(fresh)
		if receiver.VerifyIgnoringTimestamp(append(body, ' '), r.Header) == nil {
			t.Error("another body is verified, too")
		}
		if got := len(strings.Fields(r.Header.Get("webhook-signature"))); got != 2 {
			t.Errorf("%d signatures", got)
		}
	})
	f.task.Flow.HTTP.Sign = []string{"env:OLD", "env:NEW"}
	if result, _ := f.runWith(t, map[string]string{"OLD": old, "NEW": fresh}); result.Err != nil {
		t.Fatal(result.Err)
	}
	if verified["old"] != nil || verified["new"] != nil || verified["foreign"] == nil {
		t.Errorf("verified by %v", verified)
	}
}

// The values are those that a receiver computes by hand: HMAC-SHA256 over "id.timestamp.body".
func TestASignatureIsThatOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	var got string
	f := newFixture(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("webhook-signature") })
	f.task.Flow.HTTP.Method = "GET"
	f.task.Flow.HTTP.Sign = []string{"env:KEY"}
	if result, _ := f.runWith(t, map[string]string{"KEY": signingSecret("k")}); result.Err != nil {
		t.Fatal(result.Err)
	}
	const want = "v1,evkXzgBY7YT6hZ7YemA0Ad/4aZeIoMlIwtkf0dvJffc="
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestASecretThatIsNoneIsRefusedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"without its mark": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32)), "no base64": "whsec_" + strings.Repeat("!", 40),
		"too short": "whsec_" + base64.StdEncoding.EncodeToString([]byte("short-of-24-bytes")), "too long": "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 65)),
	} {
		f := newFixture(t, func(http.ResponseWriter, *http.Request) { t.Errorf("%s: it was sent", name) })
		f.task.Flow.HTTP.Sign = []string{"env:KEY"}
		result, _ := f.runWith(t, map[string]string{"KEY": value})
		if result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), "http.sign[0] (env:KEY): found a secret of") {
			t.Errorf("%s: got %+v", name, result)
		}
	}
}

func TestASecretInAHeaderIsSentAndShownNowhere(t *testing.T) {
	t.Parallel()
	const token = "tok-3n-hunter22-hunter22"
	var authorization, key string
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		authorization, key = r.Header.Get("Authorization"), r.Header.Get("X-Key")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, strings.Repeat("x", 500), key) // whose start the error shows
	})
	f.task.Flow.HTTP.Bearer = "env:TOKEN"
	f.task.Flow.HTTP.Headers = map[string]string{"X-Key": "env:TOKEN", "X-Plain": "plain"}
	result, log := f.runWith(t, map[string]string{"TOKEN": token})
	if authorization != "Bearer "+token || key != token {
		t.Errorf("sent Authorization %q and X-Key %q", authorization, key)
	}
	if !strings.Contains(log, "[redacted]") || strings.Contains(result.Err.Error(), "tok-") {
		t.Errorf("log %q, error %v", log, result.Err)
	}
	if result := f.Execute(t.Context(), f.task); result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), "env:TOKEN") {
		t.Errorf("in a worker without secrets: %+v", result)
	}
	if result, _ := f.runWith(t, map[string]string{"TOKEN": "two\nlines of a secret"}); result.Reason != store.ReasonRefused || !result.Permanent {
		t.Errorf("a secret that no header can carry: %+v", result)
	}
}

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key, a.pem, _ = a.issue(t, x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) issue(t *testing.T, template x509.Certificate) (cert *x509.Certificate, key *ecdsa.PrivateKey, certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(1), pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = &template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestAConnectionPresentsAndTrustsTheFlowsCertificates(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	_, _, serverCert, serverKey := theirs.issue(t, x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	_, _, clientCert, clientKey := ours.issue(t, x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	pair, err := tls.X509KeyPair([]byte(serverCert), []byte(serverKey))
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(ours.cert)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)

	values := map[string]string{"CERT": clientCert, "KEY": clientKey, "CA": theirs.pem}
	for _, test := range []struct {
		name   string
		tls    *store.HTTPTLS
		change map[string]string
		says   string // empty where it succeeds
	}{
		{"all of it", &store.HTTPTLS{Cert: "env:CERT", Key: "env:KEY", CA: "env:CA"}, nil, ""},
		{"nothing presented", &store.HTTPTLS{CA: "env:CA"}, nil, "certificate required"},
		{"nothing trusted", nil, nil, "unknown authority"},
		{"another authority trusted", &store.HTTPTLS{Cert: "env:CERT", Key: "env:KEY", CA: "env:CA"}, map[string]string{"CA": ours.pem}, "unknown authority"},
		{"a CA that is none", &store.HTTPTLS{CA: "env:CA"}, map[string]string{"CA": "not one at all"}, "http.tls.ca: found no certificate"},
		{"a key of another certificate", &store.HTTPTLS{Cert: "env:CERT", Key: "env:KEY", CA: "env:CA"}, map[string]string{"KEY": serverKey}, "http.tls.cert and http.tls.key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.task.Flow.HTTP.URL, f.task.Flow.HTTP.TLS = server.URL, test.tls
			given := map[string]string{}
			for name, value := range values {
				given[name] = value
			}
			for name, value := range test.change {
				given[name] = value
			}
			result, _ := f.runWith(t, given)
			if (result.Err == nil) != (test.says == "") || result.Err != nil && !strings.Contains(result.Err.Error(), test.says) {
				t.Errorf("got %+v, want an error that says %q", result, test.says)
			}
		})
	}
}

func TestAHostThatOnlyFailsIsSpared(t *testing.T) {
	t.Parallel()
	asked := 0
	f := newFixtureOf(t, webhook.Config{BreakerFailures: 3, BreakerPause: time.Hour}, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusBadGateway)
	})
	for range 3 {
		if result, _ := f.run(t); result.Err == nil || !strings.HasPrefix(result.Err.Error(), "answered 502") {
			t.Fatalf("got %+v", result)
		}
	}
	result, _ := f.run(t)
	if asked != 3 || result.Err == nil || result.Permanent || result.Reason != store.ReasonError || !strings.Contains(result.Err.Error(), "no request was sent: 3 in a row have failed") {
		t.Fatalf("asked %d times, got %+v", asked, result)
	}
	healthy := newFixture(t, func(http.ResponseWriter, *http.Request) {})
	other := f.task
	other.Flow = healthy.task.Flow
	if result := f.Execute(t.Context(), other); result.Err != nil {
		t.Errorf("another host: %v", result.Err)
	}
}

func TestAHostThatWasSparedIsAskedAgainAndThenAsBefore(t *testing.T) {
	t.Parallel()
	broken := true
	f := newFixtureOf(t, webhook.Config{BreakerFailures: 1, BreakerPause: time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
		if broken {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	if result, _ := f.run(t); result.Err == nil {
		t.Fatal("a run succeeded though the host is broken")
	}
	broken = false
	until := time.After(patience)
	for {
		if result, _ := f.run(t); result.Err == nil {
			break
		}
		select {
		case <-until:
			t.Fatal("the host is well again and is not asked")
		case <-time.After(time.Millisecond):
		}
	}
	if result, _ := f.run(t); result.Err != nil {
		t.Errorf("got %+v", result)
	}
}

func TestTheMetricTellsWhichHostIsSpared(t *testing.T) {
	t.Parallel()
	registry, broken := prometheus.NewRegistry(), false
	f := newFixtureOf(t, webhook.Config{BreakerFailures: 1, BreakerPause: time.Hour, Registerer: registry}, func(w http.ResponseWriter, _ *http.Request) {
		if broken {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	for _, open := range []string{"0", "1"} {
		broken = open == "1"
		f.run(t)
		want := fmt.Sprintf(`# HELP systole_webhook_breaker_open 1 while a host that only failed is sent no request from this worker, else 0.
# TYPE systole_webhook_breaker_open gauge
systole_webhook_breaker_open{host=%q} %s
`, strings.TrimPrefix(f.server.URL, "http://"), open)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
}

func TestAnswersThatAreTheRequestsFaultDoNotCountAgainstTheHost(t *testing.T) {
	t.Parallel()
	asked := 0
	ctx, cancel := context.WithCancelCause(t.Context())
	f := newFixtureOf(t, webhook.Config{BreakerFailures: 1, BreakerPause: time.Hour}, func(w http.ResponseWriter, r *http.Request) {
		switch asked++; asked {
		case 1:
			w.WriteHeader(http.StatusNotFound)
		case 2:
			w.WriteHeader(http.StatusTooManyRequests)
		case 3:
			cancel(executor.ErrCancelled)
			silent(w, r)
		}
	})
	for range 2 {
		f.run(t)
	}
	if result := f.Execute(ctx, f.task); result.Reason != store.ReasonCancelled {
		t.Errorf("got %+v", result)
	}
	if result, _ := f.run(t); result.Err != nil || asked != 4 {
		t.Errorf("asked %d times, got %+v", asked, result)
	}
}

func TestRequestsToAHostWaitForItsRate(t *testing.T) {
	t.Parallel()
	f := newFixtureOf(t, webhook.Config{Rate: 20, Burst: 1}, func(http.ResponseWriter, *http.Request) {})
	start := time.Now()
	for range 3 {
		if result, _ := f.run(t); result.Err != nil {
			t.Fatal(result.Err)
		}
	}
	if took := time.Since(start); took < 90*time.Millisecond {
		t.Errorf("three requests at 20 a second took %s", took)
	}
	slow := newFixtureOf(t, webhook.Config{Rate: 0.001, Burst: 1}, func(http.ResponseWriter, *http.Request) {})
	slow.run(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, executor.ErrTimeout)
	defer cancel()
	if result := slow.Execute(ctx, slow.task); result.Err == nil || result.Permanent || !strings.Contains(result.Err.Error(), "no request was sent") {
		t.Errorf("one that cannot wait: %+v", result)
	}
}
