package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/systole-run/systole/internal/testenv"
)

// R2.5, R5.1: a job of somebody else's platform is let in by the JWT that it has, and whom that lets in changes without a
// restart, also while its issuer is away.
func TestAJWTLetsInAndItsSubjectsChangeWithoutARestart(t *testing.T) {
	t.Parallel()
	issuer := testenv.NewIssuer(t, "rsa", "ec")
	settings := func(subjects string) string {
		return "gateway:\n  auth:\n    mode: oidc,token\n    tokens: [{name: cron, value_file: " + write(t, "token", firstToken) + "}]\n" +
			"    oidc: {issuer: '" + issuer.URL + "', audience: systole, subjects: [" + subjects + "]}\n"
	}
	file := write(t, "systole.yaml", settings(`"repo:acme/shop:ref:refs/heads/main"`))
	gateway := spawn(t, "gateway", []string{"gateway", "-c", file}, gatewayOn(t, "127.0.0.1:0")...)
	url := gateway.url("gateway") + "/heartbeat"
	good := issuer.Good(t)
	await(t, url, good, http.StatusAccepted)
	await(t, url, issuer.Token(t, "ec", jose.ES256, nil), http.StatusAccepted)
	await(t, url, firstToken, http.StatusAccepted)
	await(t, url, issuer.Token(t, "rsa", jose.RS256, map[string]any{"aud": "others"}), http.StatusUnauthorized)
	run(t, nil, "beat", "--gateway", url, "--token-file", write(t, "jwt", good)).expect(t, exitFine, "accepted")
	refused := gateway.awaitLog("caller refused", "reason", "audience")
	if refused["level"] != "WARN" || refused["credential"] != "oidc" || refused["client"] != "127.0.0.1" || !strings.Contains(fmt.Sprint(refused["claimed"]), "repo:acme/shop") {
		t.Errorf("the log says %v", refused)
	}
	issuer.SetAway(true)
	overwrite(t, file, settings(`{email: cron@acme.example, name: mailer}`))
	gateway.signal(syscall.SIGHUP)
	gateway.awaitLog("settings reloaded")
	await(t, url, good, http.StatusUnauthorized)
	await(t, url, issuer.Token(t, "rsa", jose.RS256, map[string]any{"sub": "1", "email": "cron@acme.example", "email_verified": true}), http.StatusAccepted)
}

// R5.1: an issuer whose certificate a private CA has signed, such as that of a cluster, is believed once the settings name the CA.
func TestAJWTOfAnIssuerWithAPrivateCALetsInOnceTheCAIsNamed(t *testing.T) {
	t.Parallel()
	ca := testenv.NewAuthority(t)
	issuer := testenv.NewTLSIssuer(t, ca.Issue(t, testenv.LoopbackServer(1)), "rsa")
	settings := func(more string) string {
		return "gateway:\n  auth:\n    oidc:\n      issuer: '" + issuer.URL + "'\n      audience: systole\n      subjects: ['repo:acme/shop:ref:refs/heads/main']\n" + more
	}
	file := write(t, "systole.yaml", settings(""))
	gateway := spawn(t, "gateway", []string{"gateway", "-c", file}, gatewayOn(t, "127.0.0.1:0")...)
	url := gateway.url("gateway") + "/heartbeat"
	await(t, url, issuer.Good(t), http.StatusServiceUnavailable)
	gateway.awaitLog("the keys of an issuer could not be fetched")
	overwrite(t, file, settings("      ca_file: "+ca.WriteCA(t)+"\n"))
	gateway.signal(syscall.SIGHUP)
	gateway.awaitLog("settings reloaded", "changed", "gateway.auth.oidc.ca_file")
	await(t, url, issuer.Good(t), http.StatusAccepted)
}

// R2.5, R5.1: a client with a certificate is let in by gateway and console, and the listener's own certificate, the CA and the
// subjects change without a restart.
func TestAClientCertificateLetsInAndCertificatesChangeWithoutARestart(t *testing.T) {
	t.Parallel()
	ca, next := testenv.NewAuthority(t), testenv.NewAuthority(t)
	certFile, keyFile := testenv.WritePair(t, ca.Issue(t, testenv.LoopbackServer(21)))
	settings := func(authority *testenv.Authority) string {
		return "gateway:\n  tls: {cert_file: " + certFile + ", key_file: " + keyFile + "}\n  auth:\n    mode: mtls\n    mtls:\n      ca_file: " + authority.WriteCA(t) +
			"\n      subjects: [{uri: 'spiffe://acme.example/cron', name: cron}]\n"
	}
	file := write(t, "systole.yaml", settings(ca))
	gateway := spawn(t, "gateway", []string{"gateway", "-c", file}, gatewayOn(t, "127.0.0.1:0")...)
	url := gateway.url("gateway") + "/heartbeat"
	client := testenv.Named("spiffe://acme.example/cron", "", "", "")
	over := func(roots *x509.CertPool, certificates ...tls.Certificate) (status int, serial int64) {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}}
		defer transport.CloseIdleConnections()
		pollUntil(t, "NATS is there", func() bool {
			response, err := (&http.Client{Transport: transport}).Post(url, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			_, _ = io.Copy(io.Discard, response.Body)
			status, serial = response.StatusCode, response.TLS.PeerCertificates[0].SerialNumber.Int64()
			return status != http.StatusServiceUnavailable
		})
		return status, serial
	}
	for _, test := range []struct {
		name         string
		certificates []tls.Certificate
		status       int
	}{
		{"its certificate", []tls.Certificate{ca.Issue(t, client)}, http.StatusAccepted},
		{"none", nil, http.StatusUnauthorized},
		{"another CA's", []tls.Certificate{next.Issue(t, client)}, http.StatusUnauthorized},
		{"another subject's", []tls.Certificate{ca.Issue(t, testenv.Named("spiffe://acme.example/other", "", "", ""))}, http.StatusUnauthorized},
	} {
		if status, _ := over(ca.Pool, test.certificates...); status != test.status {
			t.Errorf("%s: answered %d, want %d", test.name, status, test.status)
		}
	}
	clientCert, clientKey := testenv.WritePair(t, ca.Issue(t, client))
	run(t, nil, "beat", "--gateway", url, "--ca-file", ca.WriteCA(t), "--cert-file", clientCert, "--key-file", clientKey).expect(t, exitFine, "accepted")
	run(t, nil, "beat", "--gateway", url, "--ca-file", ca.WriteCA(t)).expect(t, exitFailed, "401 Unauthorized")
	run(t, nil, "beat", "--gateway", url, "--cert-file", clientCert).expect(t, exitUsage, "both or neither")
	testenv.OverwritePair(t, next.Issue(t, testenv.LoopbackServer(22)), certFile, keyFile)
	overwrite(t, file, settings(next))
	gateway.signal(syscall.SIGHUP)
	gateway.awaitLog("settings reloaded", "changed", "gateway.auth.mtls.ca_file")
	if status, serial := over(next.Pool, next.Issue(t, client)); status != http.StatusAccepted || serial != 22 {
		t.Errorf("answered %d with certificate %d", status, serial)
	}
	if status, _ := over(next.Pool, ca.Issue(t, client)); status != http.StatusUnauthorized {
		t.Errorf("the old CA's is answered %d", status)
	}
}

// R2.5, R5.1: the console takes the same kinds, but for signed requests, which it could not tell from their repeats.
func TestTheConsoleTakesJWTsAndNoSignedRequests(t *testing.T) {
	t.Parallel()
	_, _, environ := servers(t)
	issuer := testenv.NewIssuer(t, "rsa")
	file := write(t, "systole.yaml", "console:\n  listen: 127.0.0.1:0\n  auth:\n    oidc:\n      issuer: '"+issuer.URL+"'\n      audience: systole\n"+
		"      subjects: [{subject: 'repo:acme/shop:ref:refs/heads/main', name: ci, scopes: [read]}]\n")
	console := start(t, environ, "console", "-c", file)
	env := against(console)
	run(t, append(env, "SYSTOLE_API_TOKEN="+issuer.Good(t)), "flow", "list").expect(t, exitFine)
	run(t, append(env, "SYSTOLE_API_TOKEN="+issuer.Token(t, "rsa", jose.RS256, map[string]any{"sub": "x"})), "flow", "list").expect(t, exitFailed, "401 Unauthorized")
	runWith(t, goodFlow, append(env, "SYSTOLE_API_TOKEN="+issuer.Good(t)), "flow", "apply", "-f", "-").expect(t, exitFailed, "403 Forbidden")
	for _, want := range []string{"reason=subject", "reason=scope"} {
		if !strings.Contains(console.log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, console.log)
		}
	}
	overwrite(t, file, "console: {auth: {hmac: {keys: [{name: a, value_file: "+write(t, "key", longKey)+"}]}}}\n")
	run(t, environ, "console", "-c", file).expect(t, exitUsage, "console.auth.mode", "only the gateway")
}
