package main

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/testenv"
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
