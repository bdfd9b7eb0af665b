package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
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
	run(t, newStand(t).environ("worker"), "doctor").
		expect(t, exitFine, "ok       settings are valid", "ok       NATS at nats://127.0.0.1", "ok       the streams", "ok       Redis at redis://127.0.0.1", "commands are", "strict", "nothing is wrong").
		without(t, "warning", "wrong  ")
}

func TestDoctorSaysWhichServerIsAwayAndWhatToDo(t *testing.T) {
	t.Parallel()
	natsServer, redis, environ := servers(t)
	redis.Kill()
	run(t, environ, "doctor").expect(t, exitFailed,
		"wrong    Redis at redis://"+redis.Addr, "is it running, and are redis.url and the credentials right?", "ok       NATS", "problems found: 1")
	natsServer.Stop()
	run(t, environ, "doctor").expect(t, exitFailed,
		"wrong    NATS at "+natsServer.URL, "is it running, and are nats.url and the credentials right?", "problems found: 2")
}

// With settings that are not the deployment's, such as none, a look must do no harm.
func TestDoctorChangesNoStreamAndSaysWhatARoleWouldChange(t *testing.T) {
	t.Parallel()
	server, _, environ := servers(t)
	js, err := jetstream.New(testenv.Connect(t, server.URL), jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	run(t, environ, "doctor").expect(t, exitFine, "ok       the streams SYSTOLE_BEATS, SYSTOLE_RUNS, SYSTOLE_DEAD, SYSTOLE_EVENTS are not there yet")
	if _, err := js.Stream(t.Context(), "SYSTOLE_BEATS"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream was made (%v)", err)
	}
	if err := trigger.EnsureStreams(t.Context(), js, trigger.StreamConfig{BeatTTL: time.Hour, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	run(t, environ, "doctor").expect(t, exitFine, "ok       the streams of heartbeats").without(t, "stream SYSTOLE_BEATS")
	run(t, append(environ, "SYSTOLE_NATS__BEAT_TTL=2h"), "doctor").expect(t, exitFine, "warning  a stream differs from these settings: SYSTOLE_BEATS in max_age")
	stream, err := js.Stream(t.Context(), "SYSTOLE_BEATS")
	if err != nil {
		t.Fatal(err)
	}
	if age := stream.CachedInfo().Config.MaxAge; age != time.Hour {
		t.Errorf("beats are kept for %s now", age)
	}
}

func TestDoctorAsksTheIssuersOfJWTsForTheirKeys(t *testing.T) {
	t.Parallel()
	_, _, environ := servers(t)
	here, away := testenv.NewIssuer(t, "rsa"), testenv.NewIssuer(t, "rsa")
	away.SetAway(true)
	ca := testenv.NewAuthority(t)
	inside := testenv.NewTLSIssuer(t, ca.Issue(t, testenv.LoopbackServer(1)), "rsa")
	file := write(t, "systole.yaml", "gateway: {auth: {oidc: {issuer: '"+here.URL+"', audience: a, ca_file: '"+ca.WriteCA(t)+"', subjects: [b, {subject: c, issuer: '"+away.URL+"'}, {subject: d, issuer: '"+inside.URL+"'}]}}}\n")
	run(t, environ, "doctor", "-c", file).expect(t, exitFine,
		"ok       issuer "+here.URL+" gives its keys", "ok       issuer "+inside.URL+" gives its keys", "warning  discover issuer "+away.URL, "gets 503")
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
	s := newStand(t)
	console := start(t, s.environ("console", "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0"), "console")
	runWith(t, goodFlow, against(console), "flow", "apply", "-f", "-").expect(t, exitFine)
	run(t, s.environ("worker"), "doctor").expect(t, exitFine, "warning  group default has 1 flows and has never had a heartbeat")
}

func TestDoctorAndTheConsoleWarnOfHeartbeatsThatDoNotFitTheFlows(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	st, client := s.store, s.deployed.Redis(t, s.redis, "operator")
	for group, beats := range map[string]struct{ every, since time.Duration }{
		"fine": {time.Minute, time.Minute}, "slow": {time.Hour, time.Hour}, "fast": {time.Second, time.Second}, "stopped": {time.Minute, time.Hour},
	} {
		flow := store.DataFlow{Name: "sync", Group: group, Every: store.Duration(5 * time.Minute), Function: &store.FunctionSpec{Name: "f"}}
		if _, err := st.PutFlow(t.Context(), flow); err != nil {
			t.Fatal(err)
		}
		now := time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC) // the clock of the group is the largest time that it has seen
		pass := func(d time.Duration) {
			now = now.Add(d)
			if err := client.HSet(t.Context(), "systole:{"+group+"/0}:meta", "clock", now.UnixMicro()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 5 {
			pass(beats.every)
			arrival := store.Arrival{Key: fmt.Sprint(i+1, "-1"), ID: fmt.Sprint(i), Group: group, Worker: "w"}
			if _, err := st.AcceptBeat(t.Context(), arrival); err != nil {
				t.Fatal(err)
			}
		}
		pass(beats.since)
	}
	run(t, s.environ("worker"), "doctor").expect(t, exitFine,
		"ok       group fine: 1 flows, 1 due, 0 running; last heartbeat 1m ago, one every 1m; the most frequent flow, sync, is due every 5m",
		"warning  group slow has a heartbeat every 1h, but its flow sync is due every 5m", "send heartbeats at least every 5m",
		"warning  group fast has a heartbeat every 1s, but its most frequent flow, sync, is due only every 5m", "one every 1m is enough",
		"warning  group stopped had its last heartbeat 1h ago, and one came every 1m before: has its scheduler stopped",
	).without(t, "warning  group fine", "wrong  ")

	console := start(t, s.environ("console", "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0"), "console")
	console.log.find(t, regexp.MustCompile(`level=WARN msg="group slow has a heartbeat every 1h`))
	metrics := console.log.find(t, regexp.MustCompile(`msg=listening component=metrics listen=(\S+)`))[1]
	page := ""
	pollUntil(t, "the console has looked", func() bool {
		_, page = ask(t, http.MethodGet, metrics+"/metrics", "")
		return strings.Contains(page, "systole_beat_warning")
	})
	for _, want := range []string{
		`group="slow",warning="slow"} 1`, `group="fast",warning="fast"} 1`, `group="stopped",warning="stopped"} 1`, `group="fine",warning="stopped"} 0`,
	} {
		if !strings.Contains(page, "systole_beat_warning{"+want) {
			t.Errorf("the metrics lack systole_beat_warning{%s:\n%s", want, page)
		}
	}
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
