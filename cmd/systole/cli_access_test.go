package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/testenv"
)

const (
	firstToken  = "first-0123456789abcdef0123456789"
	secondToken = "second-0123456789abcdef012345678"
)

// gatewayOn gives settings of a gateway on the shared NATS.
func gatewayOn(t *testing.T, listen string, more ...string) []string {
	t.Helper()
	url, prefix := testenv.NATSURL(t)
	return append([]string{
		"SYSTOLE_NATS__URL=" + url, "SYSTOLE_NATS__PREFIX=" + prefix, "SYSTOLE_METRICS__LISTEN=", "SYSTOLE_GATEWAY__LISTEN=" + listen,
	}, more...)
}

// R2.5: an API that is open because it is on loopback is so for this machine, and not for a page whose name points to it.
func TestAnOpenAPIOnLoopbackGoesByNoOtherName(t *testing.T) {
	t.Parallel()
	status := func(r *role, host, path string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		status, _ := send(t, http.DefaultClient, request)
		return status
	}
	dev := startDev(t, nil)
	for host, want := range map[string]int{
		"": http.StatusOK, "localhost:8080": http.StatusOK, "[::1]": http.StatusOK,
		"evil.example": http.StatusForbidden, "evil.example:8080": http.StatusForbidden, "127.0.0.1.evil.example": http.StatusForbidden,
	} {
		if got := status(dev, host, "/api/v1/runs"); got != want {
			t.Errorf("the API is asked as %q and answers %d, want %d", host, got, want)
		}
	}
	if got := status(dev, "systole.example", "/heartbeat"); got != http.StatusAccepted { // there is nothing to read
		t.Errorf("a heartbeat to another name is answered %d", got)
	}
	told := startDev(t, []string{"SYSTOLE_GATEWAY__AUTH__MODE=none"})
	if got := status(told, "systole.example", "/api/v1/runs"); got != http.StatusOK {
		t.Errorf("an API that was told to be open answers %d", got)
	}
}

// R5.1: open beyond loopback is a gateway only if that was said in so many words.
func TestAGatewayBeyondLoopbackStartsOpenOnlyIfToldSo(t *testing.T) {
	t.Parallel()
	run(t, gatewayOn(t, "0.0.0.0:0"), "gateway").expect(t, exitUsage, "gateway.auth.mode", "or none, which lets everybody in")
	gateway := start(t, gatewayOn(t, "0.0.0.0:0", "SYSTOLE_GATEWAY__AUTH__MODE=none"), "gateway")
	await(t, gateway.url+"/heartbeat", "", http.StatusAccepted)
}

// R2.5, R5.1: a token from a file lets in, and only for what it is for.
func TestATokenFromAFileLetsIn(t *testing.T) {
	t.Parallel()
	file := write(t, "token", firstToken+"\n")
	tokens := `[{"name":"cron","value_file":"` + file + `","groups":["default"]}]`
	gateway := start(t, gatewayOn(t, "127.0.0.1:0", "SYSTOLE_GATEWAY__AUTH__TOKENS="+tokens), "gateway")
	for _, test := range []struct {
		path, token string
		status      int
	}{
		{"/heartbeat", firstToken, http.StatusAccepted},
		{"/heartbeat", "", http.StatusUnauthorized},
		{"/heartbeat", secondToken, http.StatusUnauthorized},
		{"/heartbeat/reports", firstToken, http.StatusForbidden},
	} {
		await(t, gateway.url+test.path, test.token, test.status)
	}
	url := gateway.url + "/heartbeat"
	run(t, nil, "beat", "--gateway", url, "--token-file", file).expect(t, exitFine, "accepted")
	run(t, []string{"SYSTOLE_TOKEN=" + firstToken}, "beat", "--gateway", url).expect(t, exitFine, "accepted")
	run(t, nil, "beat", "--gateway", url).expect(t, exitFailed, "the gateway answered 401 Unauthorized")
	if log := gateway.log.String(); strings.Contains(log, firstToken) || strings.Contains(log, secondToken) {
		t.Errorf("a token is in the log:\n%s", log)
	}
}

func TestTheAdminAPILetsTokensInForTheirScopes(t *testing.T) {
	t.Parallel()
	_, _, environ := servers(t)
	reader, writer := write(t, "reader", firstToken), write(t, "writer", secondToken)
	tokens := `[{"name":"reader","value_file":"` + reader + `","scopes":["read"]},{"name":"writer","value_file":"` + writer + `","scopes":["read","write"]}]`
	console := start(t, append(environ, "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0", "SYSTOLE_CONSOLE__AUTH__TOKENS="+tokens), "console")
	env := against(console)
	apply := []string{"flow", "apply", "-f", "-"}
	runWith(t, goodFlow, env, apply...).expect(t, exitFailed, "401 Unauthorized").without(t, firstToken)
	runWith(t, goodFlow, env, append(apply, "--token-file", reader)...).expect(t, exitFailed, "403 Forbidden")
	runWith(t, goodFlow, env, append(apply, "--token-file", writer)...).expect(t, exitFine, "created")
	run(t, append(env, "SYSTOLE_API_TOKEN="+firstToken), "flow", "list").expect(t, exitFine, "good")
}

// R5.2: who is not on the list gets 403, whatever credential comes with it.
func TestTheAllowListOfTheConsoleRefusesOthersWith403(t *testing.T) {
	t.Parallel()
	_, _, environ := servers(t)
	file := write(t, "systole.yaml", "console:\n  listen: 127.0.0.1:0\n  allow: [192.0.2.0/24]\n")
	console := start(t, environ, "console", "-c", file)
	if status, body := ask(t, "GET", console.url+"/api/v1/status", ""); status != http.StatusForbidden || !strings.Contains(body, `"status":403`) {
		t.Errorf("answered %d %s", status, body)
	}
	if log := console.log.String(); !strings.Contains(log, "caller refused") || !strings.Contains(log, "reason=address") {
		t.Errorf("the log does not tell of it:\n%s", log)
	}
	overwrite(t, file, "console:\n  listen: 127.0.0.1:0\n  allow: [127.0.0.0/8]\n")
	if said := console.reload(t); !strings.Contains(said, "console.allow") {
		t.Errorf("reload says %s", said)
	}
	if status, body := ask(t, "GET", console.url+"/api/v1/status", ""); status != http.StatusOK {
		t.Errorf("after the reload: answered %d %s", status, body)
	}
}

func tokenSettings(token, level, allow string) string {
	return "log: {level: " + level + "}\ngateway:\n  allow: [" + allow + "]\n  auth:\n    tokens:\n      - {name: cron, value: " + token + "}\n"
}

// R5.1, R5.2, R5.3: tokens, networks and levels change without a restart.
func TestAReloadExchangesTokensNetworksAndLevels(t *testing.T) {
	t.Parallel()
	file := write(t, "systole.yaml", tokenSettings(firstToken, "warn", ""))
	// At level warn nothing tells where the gateway listens, so that its port is chosen here.
	address := freeAddress(t)
	gateway := launch(t, gatewayOn(t, address), "gateway", "-c", file)
	url := "http://" + address + "/heartbeat"
	await(t, url, firstToken, http.StatusAccepted)

	overwrite(t, file, tokenSettings(secondToken, "debug", ""))
	if said := gateway.reload(t); !strings.Contains(said, "log.level, gateway.auth.tokens") {
		t.Errorf("reload says %s", said)
	}
	await(t, url, secondToken, http.StatusAccepted)
	await(t, url, firstToken, http.StatusUnauthorized)
	if log := gateway.log.String(); strings.Count(log, "request answered") != 1 {
		t.Errorf("of two requests that were answered, the one at level debug alone shall be logged:\n%s", log)
	}

	overwrite(t, file, tokenSettings(secondToken, "debug", "192.0.2.0/24"))
	gateway.reload(t)
	await(t, url, secondToken, http.StatusForbidden)
	for _, token := range []string{firstToken, secondToken} {
		if strings.Contains(gateway.log.String(), token) {
			t.Errorf("a token is in the log:\n%s", gateway.log)
		}
	}
}

func TestABadReloadLeavesTheOldSettingsStandingAndSaysSo(t *testing.T) {
	t.Parallel()
	file := write(t, "systole.yaml", tokenSettings(firstToken, "info", ""))
	gateway := start(t, gatewayOn(t, "127.0.0.1:0"), "gateway", "-c", file)
	for name, content := range map[string]string{
		"no YAML":          "log: [",
		"a bad level":      tokenSettings(secondToken, "loud", ""),
		"a bad network":    tokenSettings(secondToken, "info", "everywhere"),
		"an unknown key":   tokenSettings(secondToken, "info", "") + "gatway: {}\n",
		"no tokens at all": "log: {level: info}\n", // would open the gateway to everybody on the way
	} {
		overwrite(t, file, content)
		if said := gateway.reload(t); !strings.Contains(said, "settings not reloaded, the old ones stand") {
			t.Errorf("%s: reload says %s", name, said)
		}
		await(t, gateway.url+"/heartbeat", firstToken, http.StatusAccepted)
		await(t, gateway.url+"/heartbeat", secondToken, http.StatusUnauthorized)
		await(t, gateway.url+"/heartbeat", "", http.StatusUnauthorized)
	}
}

// What cannot be taken over as a whole is not taken over in part: the token that comes with it is no good.
func TestAReloadThatSwitchesTLSTakesNothingOver(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := certificate(t)
	file := write(t, "systole.yaml", tokenSettings(firstToken, "info", ""))
	gateway := start(t, gatewayOn(t, "127.0.0.1:0"), "gateway", "-c", file)
	overwrite(t, file, tokenSettings(secondToken, "info", "")+"  tls: {cert_file: "+certFile+", key_file: "+keyFile+"}\n")
	if said := gateway.reload(t); !strings.Contains(said, "settings not reloaded, the old ones stand") || !strings.Contains(said, "gateway.tls.cert_file") {
		t.Errorf("reload says %s", said)
	}
	await(t, gateway.url+"/heartbeat", firstToken, http.StatusAccepted)
	await(t, gateway.url+"/heartbeat", secondToken, http.StatusUnauthorized)
}

// In dev the console shares the gateway's settings, and takes no signed requests.
func TestAReloadOfDevThatLeavesTheConsoleNothingTakesNothingOver(t *testing.T) {
	t.Parallel()
	file := write(t, "systole.yaml", tokenSettings(firstToken, "info", ""))
	dev := startDev(t, nil, "-c", file)
	overwrite(t, file, "gateway: {auth: {hmac: {keys: [{name: cron, value: "+secondToken+secondToken+"}]}}}\n")
	if said := dev.reload(t); !strings.Contains(said, "settings not reloaded, the old ones stand") {
		t.Errorf("reload says %s", said)
	}
	await(t, dev.url+"/heartbeat", firstToken, http.StatusAccepted)
}

func TestAReloadNamesWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	file := write(t, "systole.yaml", "gateway: {path: /beat}\n")
	gateway := start(t, gatewayOn(t, "127.0.0.1:0"), "gateway", "-c", file)
	overwrite(t, file, "gateway: {path: /other}\n")
	if said := gateway.reload(t); !strings.Contains(said, "needs_restart=gateway.path") {
		t.Errorf("reload says %s", said)
	}
	await(t, gateway.url+"/beat", "", http.StatusAccepted)
}

func TestAGatewaySpeaksTLSWithAGivenCertificate(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := certificate(t)
	gateway := start(t, gatewayOn(t, "127.0.0.1:0", "SYSTOLE_GATEWAY__TLS__CERT_FILE="+certFile, "SYSTOLE_GATEWAY__TLS__KEY_FILE="+keyFile), "gateway")
	if !strings.HasPrefix(gateway.url, "https://") {
		t.Errorf("it listens on %s", gateway.url)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	awaitWith(t, &http.Client{Transport: transport}, gateway.url+"/heartbeat", "", http.StatusAccepted)
	run(t, nil, "beat", "--gateway", gateway.url+"/heartbeat").expect(t, exitFailed, "certificate")
}

// await asks until the answer is the one that is wanted, or patience ends. What answers at all answers right at once, but that
// NATS may not be there yet.
func await(t *testing.T, url, token string, want int) {
	t.Helper()
	awaitWith(t, http.DefaultClient, url, token, want)
}

func awaitWith(t *testing.T, client *http.Client, url, token string, want int) {
	t.Helper()
	got := 0
	pollUntil(t, url+" answers", func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		got = response.StatusCode
		return got == want || got != http.StatusServiceUnavailable
	})
	if got != want {
		t.Errorf("%s is answered %d, want %d", url, got, want)
	}
}

// freeAddress is an address that nobody listens on, and that nobody else is given.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// certificate makes a certificate for loopback that vouches for itself.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "systole test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return certFile, keyFile, pool
}
