package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
)

// servers gives the settings of a NATS and a Redis with persistence, of the test's own.
func servers(t *testing.T) (natsServer *testenv.NATSServer, redis *testenv.RedisServer, environ []string) {
	t.Helper()
	natsServer, redis = testenv.StartNATS(t), testenv.StartRedis(t)
	return natsServer, redis, []string{
		"SYSTOLE_NATS__URL=" + natsServer.URL, "SYSTOLE_REDIS__URL=" + redis.URL(), "SYSTOLE_METRICS__LISTEN=127.0.0.1:0",
	}
}

func TestDoctorFindsHealthyServersFine(t *testing.T) {
	t.Parallel()
	_, _, environ := servers(t)
	run(t, environ, "doctor").
		expect(t, exitFine, "ok       settings are valid", "ok       NATS at nats://127.0.0.1", "ok       the streams", "ok       Redis at redis://127.0.0.1", "nothing is wrong").
		without(t, "warning", "wrong  ")
}

func TestDoctorSaysWhichServerIsAwayAndWhatToDo(t *testing.T) {
	t.Parallel()
	natsServer, redis, environ := servers(t)
	redis.Kill()
	run(t, environ, "doctor").expect(t, exitFailed,
		"wrong    Redis at redis://"+redis.Addr, "is it running, and are redis.url and the credentials right?", "ok       NATS", "things that are wrong: 1")
	natsServer.Stop()
	run(t, environ, "doctor").expect(t, exitFailed,
		"wrong    NATS at "+natsServer.URL, "is it running, and are nats.url and the credentials right?", "things that are wrong: 2")
}

func TestDoctorWarnsOfARedisThatMayLoseThings(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t, "--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
	natsURL, prefix := testenv.NATSURL(t)
	environ := []string{"SYSTOLE_NATS__URL=" + natsURL, "SYSTOLE_NATS__PREFIX=" + prefix, "SYSTOLE_REDIS__URL=" + redis.URL()}
	run(t, environ, "doctor").expect(t, exitFine,
		"warning  Redis: appendonly is off", "set appendonly yes", `warning  Redis: maxmemory-policy is "allkeys-lru"`, "set it to noeviction")
}

func TestDoctorTellsOfGroupsThatNobodySendsHeartbeatsTo(t *testing.T) {
	t.Parallel()
	_, _, environ := servers(t)
	console := start(t, append(environ, "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0"), "console")
	runWith(t, goodFlow, against(console), "flow", "apply", "-f", "-").expect(t, exitFine)
	run(t, environ, "doctor").expect(t, exitFine, "warning  group default has 1 flows and has never had a heartbeat")
}

func TestDoctorProbesAnAddress(t *testing.T) {
	t.Parallel()
	for path, code := range map[string]int{"/ready": exitFine, "/away": exitFailed} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/away" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		t.Cleanup(server.Close)
		said := run(t, nil, "doctor", "--url", server.URL+path)
		if said.expect(t, code); code == exitFailed {
			said.expect(t, code, "answered 503 Service Unavailable")
		}
	}
}

// What is ready by the probe of a container is what /readyz of the role says.
func TestDoctorProbesARole(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	run(t, nil, "doctor", "--url", dev.url+"/readyz").expect(t, exitFine)
	run(t, nil, "doctor", "--url", dev.url+"/elsewhere").expect(t, exitFailed, "404")
}
