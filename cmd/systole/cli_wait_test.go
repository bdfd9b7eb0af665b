package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// A role that waits for Redis lives, or it would be restarted for nothing; it is not ready, and says what is missing.
func TestARoleThatWaitsForRedisIsAliveAndNotReady(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"worker", "console"} {
		_, redis, environ := servers(t)
		redis.Kill()
		waiting := launch(t, append(environ, "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0"), name)
		health := waiting.log.find(t, regexp.MustCompile(`msg=listening component=metrics listen=(\S+)`))[1]
		waiting.log.find(t, regexp.MustCompile("waiting for Redis"))
		if status, body := ask(t, http.MethodGet, health+"/healthz", ""); status != http.StatusOK {
			t.Errorf("%s: /healthz is answered %d %s", name, status, body)
		}
		if status, body := ask(t, http.MethodGet, health+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, `"redis":"failed"`) {
			t.Errorf("%s: /readyz is answered %d %s", name, status, body)
		}
		if err := redis.Start(); err != nil {
			t.Fatal(err)
		}
		pollUntil(t, name+" is ready", func() bool {
			status, _ := ask(t, http.MethodGet, health+"/readyz", "")
			return status == http.StatusOK
		})
		waiting.stop()
		if code := <-waiting.code; code != exitFine {
			t.Errorf("%s: exit status %d\n%s", name, code, waiting.log)
		}
	}
}

func TestARoleThatWaitsForRedisEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	_, redis, environ := servers(t)
	redis.Kill()
	waiting := launch(t, environ, "worker")
	waiting.log.find(t, regexp.MustCompile("waiting for Redis"))
	waiting.stop()
	if code := <-waiting.code; code != exitFine {
		t.Errorf("exit status %d\n%s", code, waiting.log)
	}
}

// A NATS that stores nothing any more, as where its disk was full, is of no use to who takes heartbeats.
func TestAGatewayIsNotReadyWhileJetStreamIsOff(t *testing.T) {
	t.Parallel()
	natsServer, _, environ := servers(t)
	gateway := launch(t, append(environ, "SYSTOLE_GATEWAY__LISTEN=127.0.0.1:0"), "gateway")
	health := gateway.log.find(t, regexp.MustCompile(`msg=listening component=metrics listen=(\S+)`))[1]
	await := func(status int, says string) {
		t.Helper()
		pollUntil(t, "NATS is "+says, func() bool {
			got, body := ask(t, http.MethodGet, health+"/readyz", "")
			return got == status && strings.Contains(body, `"nats":"`+says+`"`)
		})
	}
	await(http.StatusOK, "ok")
	if err := natsServer.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	await(http.StatusServiceUnavailable, "failed")
	natsServer.Restart(t, true)
	await(http.StatusOK, "ok")
}
