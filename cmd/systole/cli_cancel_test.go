package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// ending is an API with a run that ends with a status once it has been looked at a number of times.
func ending(t *testing.T, looks int64, status string) (environ []string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(w, `{"run_id":"a~1","status":"in_progress","cancel_requested":true}`)
		case asked.Add(1) < looks:
			_, _ = io.WriteString(w, `{"id":"a~1","status":"in_progress"}`)
		default:
			fmt.Fprintf(w, `{"id":"a~1","status":%q}`, status)
		}
	}))
	t.Cleanup(server.Close)
	return []string{"SYSTOLE_SERVER=" + server.URL}, asked
}

func TestCancelWaitsForTheEndIfItIsToldTo(t *testing.T) {
	t.Parallel()
	env, asked := ending(t, 3, "cancelled")
	run(t, env, "run", "cancel", "a~1").expect(t, exitFine, "a~1 in_progress, its worker was asked to end it")
	if asked.Load() != 0 {
		t.Errorf("it looked %d times although it was not to wait", asked.Load())
	}
	run(t, env, "run", "cancel", "a~1", "--wait", "1m").expect(t, exitFine, "a~1 cancelled\n")
	if asked.Load() != 3 {
		t.Errorf("it looked %d times, want 3", asked.Load())
	}
	env, _ = ending(t, 1, "success") // it was faster
	run(t, env, "run", "cancel", "a~1", "--wait", "1m").expect(t, exitFine, "a~1 success\n")
}

func TestCancelFailsIfTheRunDoesNotEndWithinTheWait(t *testing.T) {
	t.Parallel()
	env, asked := ending(t, 1<<40, "")
	run(t, env, "run", "cancel", "a~1", "--wait", "1s").expect(t, exitFailed, "a~1 has not ended within 1s")
	if asked.Load() > 8 {
		t.Errorf("it looked %d times in a second: the pauses do not grow", asked.Load())
	}
}

func TestCancelOfAPendingRunNeedsNoWait(t *testing.T) {
	t.Parallel()
	env := scriptedAPI(t, map[string]string{"POST /api/v1/runs/a~1/cancel": `{"run_id":"a~1","status":"cancelled"}`})
	run(t, env, "run", "cancel", "a~1", "--wait", "1m").expect(t, exitFine, "a~1 cancelled\n")
}

func TestWhatIsSaidOfWhatWasStoppedRepeatedOrForgotten(t *testing.T) {
	t.Parallel()
	const dead = `{"runs":[{"id":"a~1","group":"default","status":"failed","error":"exit 3"}]}`
	env := scriptedAPI(t, map[string]string{
		"POST /api/v1/flows/a/pause":  "",
		"POST /api/v1/flows/a/resume": "",
		"POST /api/v1/runs/a~1/retry": `{"run_id":"a~2"}`,
		"GET /api/v1/dead":            dead,
		"POST /api/v1/dead/a~1/retry": `{"run_id":"a~3"}`,
		"DELETE /api/v1/dead/a~1":     `{"purged":1}`,
		"DELETE /api/v1/dead":         `{"purged":7}`,
		"GET /api/v1/flows/a":         `{"name":"a","every":"5m","exec":{"command":["a"]},"paused":true,"paused_reason":"moving"}`,
		"GET /api/v1/flows/b":         `{"name":"b","function":{"name":"noop"}}`,
		"GET /api/v1/flows/a/slots":   `{"slots":[{"from":"2026-11-22T14:05:00Z","to":"2026-11-22T14:05:00Z","count":1,"outcome":"missed","detail":"no heartbeat came"}]}`,
	})
	run(t, env, "flow", "pause", "a", "--reason", "moving").expect(t, exitFine, "a paused\n")
	run(t, env, "flow", "resume", "a").expect(t, exitFine, "a resumed\n")
	run(t, env, "run", "retry", "a~1").expect(t, exitFine, "a~2\n")
	run(t, env, "dead", "list").expect(t, exitFine, "a~1", "exit 3")
	run(t, env, "dead", "list", "-o", "json", "--limit", "0").expect(t, exitFine, `"runs"`, `"a~1"`)
	run(t, env, "dead", "retry", "a~1").expect(t, exitFine, "a~3\n")
	run(t, env, "dead", "purge", "a~1").expect(t, exitFine, "1 purged\n")
	run(t, env, "dead", "purge", "a~1", "a~9").expect(t, exitFailed, "1 purged\n", "404 Not Found")
	run(t, env, "dead", "purge", "a~9").expect(t, exitFailed, "404 Not Found").without(t, "purged")
	run(t, env, "dead", "purge", "--all").expect(t, exitFine, "7 purged\n")
	run(t, env, "flow", "show", "a").expect(t, exitFine, "paused", "moving", "1 missed", "no heartbeat came")
	run(t, env, "flow", "show", "a", "-o", "json").expect(t, exitFine, `"paused": true`).without(t, "outcome")
	run(t, env, "flow", "show", "b").expect(t, exitFine, "on demand", "not read: GET /api/v1/flows/b/slots: 404")
	run(t, env, "flow", "slots", "a").expect(t, exitFine, "OUTCOME", "missed")
	run(t, env, "flow", "slots", "a", "--at", "14:05").expect(t, exitFine, "no heartbeat came")
	run(t, env, "flow", "slots", "a", "--at", "2026-11-22T14:05:00Z", "-o", "yaml").expect(t, exitFine, "slots:", "outcome: missed")
}

func TestATimeIsReadAsItStandsOrAsOneOfToday(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 22, 23, 30, 0, 0, berlin)
	for text, want := range map[string]string{
		"2026-11-21T14:05:00Z":      "2026-11-21T14:05:00Z",
		"2026-11-21T14:05:00+01:00": "2026-11-21T14:05:00+01:00",
		"2026-11-21T14:05:00.5Z":    "2026-11-21T14:05:00Z",
		"14:05":                     "2026-11-22T14:05:00+01:00",
		"00:00":                     "2026-11-22T00:00:00+01:00",
	} {
		if got, err := parseMoment(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q gives %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "25:00", "14:05:06", "noon", "2026-11-22", "2026-11-22 14:05"} {
		if _, err := parseMoment(text, now); err == nil || !strings.Contains(err.Error(), "14:05") {
			t.Errorf("%q gives %v", text, err)
		}
	}
}
