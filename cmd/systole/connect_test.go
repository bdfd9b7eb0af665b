package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/trigger"
)

// The guide for operators promises it: each ping that is not answered is one interval, and one more passes before the first.
func TestASilentCutFromNATSIsNoticedWithinAMinute(t *testing.T) {
	t.Parallel()
	options, err := natsOptions(config.Default().NATS, "test")
	if err != nil {
		t.Fatal(err)
	}
	chosen := nats.GetDefaultOptions()
	for _, option := range options {
		if err := option(&chosen); err != nil {
			t.Fatal(err)
		}
	}
	if noticed := time.Duration(chosen.MaxPingsOut+1) * chosen.PingInterval; noticed <= 0 || noticed > time.Minute {
		t.Errorf("it is noticed after %s", noticed)
	}
}

// Passwords are changed on the server first, or a creds file is renewed a moment too late: the role waits for that, too.
func TestANATSThatRefusesTheCredentialsForAWhileIsConnectedToAgain(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	server.Admit("gateway", "old")
	server.Restart(t, true)
	gateway := start(t, append(gatewayOn(t, "127.0.0.1:0"), "SYSTOLE_NATS__URL="+server.URL, "SYSTOLE_NATS__USER=gateway", "SYSTOLE_NATS__PASSWORD=old"), "gateway")
	await(t, gateway.url+"/heartbeat", "", http.StatusAccepted)
	server.Admit("gateway", "new")
	server.Restart(t, true)
	for range 3 { // the client gives up after two
		gateway.log.find(t, regexp.MustCompile(`authorization violation`))
		gateway.log.skip()
	}
	server.Admit("gateway", "old")
	server.Restart(t, true)
	gateway.log.find(t, regexp.MustCompile(`NATS connection is back`))
	await(t, gateway.url+"/heartbeat", "", http.StatusAccepted)
}

func TestAPasswordThatWasExchangedInItsFileCountsFromTheNextConnectionOn(t *testing.T) {
	t.Parallel()
	server, file := testenv.StartNATS(t), write(t, "password", "old\n")
	server.Admit("gateway", "old")
	server.Restart(t, true)
	gateway := start(t, append(gatewayOn(t, "127.0.0.1:0"), "SYSTOLE_NATS__URL="+server.URL, "SYSTOLE_NATS__USER=gateway", "SYSTOLE_NATS__PASSWORD_FILE="+file), "gateway")
	await(t, gateway.url+"/heartbeat", "", http.StatusAccepted)
	server.Admit("gateway", "new")
	server.Restart(t, true)
	gateway.log.find(t, regexp.MustCompile(`authorization violation`))
	overwrite(t, file, "new\n")
	gateway.log.find(t, regexp.MustCompile(`NATS connection is back`))
	await(t, gateway.url+"/heartbeat", "", http.StatusAccepted)
}

// tls with verify: true: a server that wants to see a certificate of its CA, beside the password.
func TestANATSThatVerifiesClientsTakesTheirCertificateAndOneThatWasRenewed(t *testing.T) {
	t.Parallel()
	deployed := testenv.Deploy(t)
	server := deployed.StartNATS(t, "include tls.conf", "tls {cert_file: $nats_certificate, key_file: $nats_key, ca_file: $nats_ca, verify: true, timeout: 5}")
	settings := append(deployed.Settings("gateway"), "SYSTOLE_NATS__URL="+server.URL, "SYSTOLE_METRICS__LISTEN=", "SYSTOLE_GATEWAY__LISTEN=127.0.0.1:0",
		"SYSTOLE_NATS__TLS__CA_FILE="+deployed.Cert(t, "ca.crt"))
	bare := start(t, settings, "gateway")
	await(t, bare.url+"/heartbeat", "", http.StatusServiceUnavailable)
	bare.log.find(t, regexp.MustCompile(`waiting for NATS.*error=.*(certificate|tls)`))

	worker := deployed.NATS(t, server.URL, "worker", nats.ClientCert(deployed.Cert(t, "worker.crt"), deployed.Cert(t, "worker.key")), nats.RootCAs(deployed.Cert(t, "ca.crt")))
	js, err := jetstream.New(worker, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	if err := trigger.EnsureStreams(t.Context(), js, trigger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	present := func(certificate, key string) {
		t.Helper()
		copyFile(t, deployed.Cert(t, certificate), certFile)
		copyFile(t, deployed.Cert(t, key), keyFile)
	}
	present("gateway.crt", "gateway.key")
	gateway := start(t, append(settings, "SYSTOLE_NATS__TLS__CERT_FILE="+certFile, "SYSTOLE_NATS__TLS__KEY_FILE="+keyFile), "gateway")
	await(t, gateway.url+"/heartbeat", "", http.StatusAccepted)
	present("console.crt", "console.key")
	server.Restart(t, true)
	gateway.log.find(t, regexp.MustCompile(`NATS connection is back`))
	await(t, gateway.url+"/heartbeat", "", http.StatusAccepted)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, to, string(content))
}

func TestARoleSaysWhyItWaitsForNATS(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	server.Stop()
	gateway := start(t, append(gatewayOn(t, "127.0.0.1:0"), "SYSTOLE_NATS__URL="+server.URL), "gateway")
	gateway.log.find(t, regexp.MustCompile(`waiting for NATS.*error=.*connection refused`))
}
