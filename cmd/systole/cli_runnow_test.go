package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// dayFlow prints its parameters, of which it wants exactly a day.
const dayFlow = `name: daily
params:
  type: object
  properties: {day: {type: string, format: date}}
  required: [day]
  additionalProperties: false
exec:
  command: [cat]
`

// runNow is a deployment for POST /run: each role as a process of its own would be.
type runNow struct {
	t           *testing.T
	nats        *testenv.NATSServer
	redis       *testenv.RedisServer
	environ     []string // of roles
	env         []string // of commands that talk to the console
	gateway     *role
	runs, beats string // tokens
}

func newRunNow(t *testing.T) *runNow {
	t.Helper()
	natsServer, redis, environ := servers(t)
	r := &runNow{t: t, nats: natsServer, redis: redis, environ: environ, runs: "token-of-runs-01", beats: "token-of-beats-1"}
	settings := write(t, "gateway.yaml", fmt.Sprintf(
		"gateway: {listen: '127.0.0.1:0', auth: {tokens: [{name: runs, value: %s, scopes: [run], groups: [default]}, {name: beats, value: %s}]}}\n", r.runs, r.beats))
	r.gateway = start(t, append(environ, "SYSTOLE_CONFIG="+settings), "gateway")
	r.env = against(start(t, append(environ, "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0"), "console"))
	runWith(t, dayFlow, r.env, "flow", "apply", "-f", "-").expect(t, exitFine)
	return r
}

// work starts a worker.
func (r *runNow) work() {
	launch(r.t, r.environ, "worker").log.find(r.t, regexp.MustCompile(`msg=listening component=metrics`))
}

// post asks for a run with a token and further headers, and gives the answer.
func (r *runNow) post(flow, params, token string, headers ...string) (status int, body string) {
	r.t.Helper()
	args := []string{"-X", http.MethodPost, "-H", "Authorization: Bearer " + token}
	if params != "" {
		args = append(args, "--json", params)
	}
	for _, header := range headers {
		args = append(args, "-H", header)
	}
	return curl(r.t, append(args, r.gateway.url+"/run/"+flow))
}

// accept asks for a run, which has to be accepted.
func (r *runNow) accept(flow, params string, headers ...string) (body string) {
	r.t.Helper()
	status, body := r.post(flow, params, r.runs, headers...)
	if status != http.StatusAccepted {
		r.t.Fatalf("POST /run/%s is answered %d %s", flow, status, body)
	}
	return body
}

// ended waits until the flow has this many runs that succeeded, and gives them, the newest first; there are no others.
func (r *runNow) ended(flow string, count int) []store.Run {
	r.t.Helper()
	var page struct{ Runs []store.Run }
	pollUntil(r.t, fmt.Sprintf("%d runs of %s have succeeded", count, flow), func() bool {
		listed := run(r.t, r.env, "run", "list", "--flow", flow, "-o", "json")
		if listed.code != exitFine || json.Unmarshal([]byte(listed.out), &page) != nil || len(page.Runs) < count {
			return false
		}
		for _, one := range page.Runs {
			if one.Status != store.StatusSuccess {
				return false
			}
		}
		return true
	})
	if len(page.Runs) != count {
		r.t.Errorf("%d runs of %s, want %d: %+v", len(page.Runs), flow, count, page.Runs)
	}
	return page.Runs
}

// R2.5
func TestARunOverHTTPRunsOnceWithItsParametersAlsoWhereTheFlowIsPaused(t *testing.T) {
	t.Parallel()
	r := newRunNow(t)
	r.work()
	run(t, r.env, "flow", "pause", "daily").expect(t, exitFine) // which holds up slots, and nothing that is asked for
	if body := r.accept("default/daily", `{"day":"2026-11-22"}`, "Idempotency-Key: first"); strings.Contains(body, "duplicate") {
		t.Errorf("the first request is answered %s", body)
	}
	if body := r.accept("default/daily", `{"day":"2026-11-22"}`, "Idempotency-Key: first"); !strings.Contains(body, `"duplicate":true`) {
		t.Errorf("its repetition is answered %s", body)
	}
	first := r.ended("daily", 1)[0]
	run(t, r.env, "run", "logs", first.ID).expect(t, exitFine, `{"day":"2026-11-22"}`)
	r.accept("default/daily", `{"day":"2026-11-23"}`, "Idempotency-Key: second")
	second := r.ended("daily", 2)[0]
	run(t, r.env, "run", "logs", second.ID).expect(t, exitFine, `{"day":"2026-11-23"}`)
}

// The gateway knows neither flows nor their parameters: what only a worker finds out is kept among the dead, with the reason.
func TestARunOverHTTPThatNoWorkerCanAcceptIsKeptAmongTheDeadWithTheReason(t *testing.T) {
	t.Parallel()
	r := newRunNow(t)
	r.work()
	js, err := jetstream.New(testenv.Connect(t, r.nats.URL), jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		flow, params string
		reasons      []string
	}{
		{"default/unknown", "", []string{"flow unknown of group default", "not found"}},
		{"default/daily", "", []string{"day"}},
		{"default/daily", `{"day":22,"hour":7}`, []string{"day", "hour"}},
	} {
		r.accept(test.flow, test.params)
		var letter *jetstream.RawStreamMsg
		pollUntil(t, fmt.Sprintf("letter %d is kept", i+1), func() bool {
			dead, err := js.Stream(t.Context(), "SYSTOLE_DEAD")
			if err == nil {
				letter, err = dead.GetMsg(t.Context(), uint64(i+1))
			}
			return err == nil
		})
		reason := letter.Header.Get(trigger.HeaderReason)
		for _, want := range test.reasons {
			if !strings.Contains(reason, want) {
				t.Errorf("%s with %q is kept for %q, which does not say %q", test.flow, test.params, reason, want)
			}
		}
		if letter.Subject != "systole.dead.run" || string(letter.Data) != test.params {
			t.Errorf("kept: %s %q", letter.Subject, letter.Data)
		}
	}
	r.accept("default/daily", `{"day":"2026-11-22"}`) // nothing is held up by them
	r.ended("daily", 1)
}

// R2.4 R2.5
func TestARunOverHTTPIsRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	r := newRunNow(t)
	for name, test := range map[string]struct {
		flow, params, token string
		status              int
		says                string
	}{
		"no credential":                   {"default/daily", "", "", http.StatusUnauthorized, ""},
		"a credential of another scope":   {"default/daily", "", r.beats, http.StatusForbidden, ""},
		"a credential for another group":  {"other/daily", "", r.runs, http.StatusForbidden, ""},
		"a name that is none":             {"default/Daily", "", r.runs, http.StatusBadRequest, "flow"},
		"parameters that are no object":   {"default/daily", "[1]", r.runs, http.StatusBadRequest, "params"},
		"parameters that are too large":   {"default/daily", `{"day":"` + strings.Repeat("x", trigger.MaxParams) + `"}`, r.runs, http.StatusRequestEntityTooLarge, "65536 bytes"},
		"a path with more than two names": {"default/daily/now", "", r.runs, http.StatusNotFound, ""},
	} {
		if status, body := r.post(test.flow, test.params, test.token); status != test.status || !strings.Contains(body, test.says) {
			t.Errorf("%s is answered %d %s, want %d with %q", name, status, body, test.status, test.says)
		}
	}
	r.work()
	r.accept("default/daily", `{"day":"2026-11-22"}`)
	r.ended("daily", 1) // and nothing of what was refused
}

// What was accepted is delivered again until a worker has written it into Redis, and becomes one run.
func TestARunOverHTTPIsNotLostWhileThereIsNoWorkerAndNoRedis(t *testing.T) {
	t.Parallel()
	r := newRunNow(t)
	r.accept("default/daily", `{"day":"2026-11-22"}`) // nobody is there to take it
	r.work()
	r.ended("daily", 1)
	r.redis.Kill()
	r.accept("default/daily", `{"day":"2026-11-23"}`)
	js, err := jetstream.New(testenv.Connect(t, r.nats.URL), jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	queued := func() uint64 {
		stream, err := js.Stream(t.Context(), "SYSTOLE_RUNS")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Msgs
	}
	pollUntil(t, "the request alone is kept while Redis is away", func() bool { return queued() == 1 })
	if err := r.redis.Start(); err != nil {
		t.Fatal(err)
	}
	r.ended("daily", 2)
	pollUntil(t, "the request is settled", func() bool { return queued() == 0 })
}
