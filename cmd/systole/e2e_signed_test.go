package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/systole-run/systole/store"
)

const signedScript = "../../examples/triggers/signed/beat.sh"

// Both are longer than a block of SHA-256, or shorter, and have letters that a shell may stumble over.
const (
	shortKey = `6y%\j$"'!~-a-key-of-its-own-6y`
	longKey  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// sign runs the script of the example.
func sign(t *testing.T, keyName, key, url, body string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", signedScript, url, body)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SYSTOLE_KEY_NAME=" + keyName, "SYSTOLE_KEY_FILE=" + write(t, "key", key+"\n")}
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// window is how long a signature is good for: longer than these tests take.
const window = "15m"

func hmacSettings(keys string) string {
	return "nats: {duplicate_window: " + window + "}\ngateway:\n  auth:\n    mode: hmac\n    hmac:\n      window: " + window + "\n      keys: [" + keys + "]\n"
}

// R2.5, R5.1: a request that is signed in a shell is let in, and keys change without a restart.
func TestARequestSignedInAShellIsLetInAndKeysChangeWithoutARestart(t *testing.T) {
	t.Parallel()
	first, second := "{name: first, value_file: "+write(t, "first", shortKey+"xx")+", scopes: [beat, run]}", "{name: second, value_file: "+write(t, "second", longKey)+"}"
	file := write(t, "systole.yaml", hmacSettings(first))
	gateway := spawn(t, "gateway", []string{"gateway", "-c", file}, gatewayOn(t, "127.0.0.1:0")...)
	url := gateway.url("gateway")
	accepted := func(name, key, path, body string) {
		t.Helper()
		if out, err := sign(t, name, key, url+path, body); err != nil || !strings.Contains(out, `"accepted_at"`) {
			t.Errorf("%s to %s: %v, %s", name, path, err, out)
		}
	}
	refused := func(name, key, path string) {
		t.Helper()
		if out, err := sign(t, name, key, url+path, ""); err == nil || !strings.Contains(out, "401") {
			t.Errorf("%s to %s: %v, %s", name, path, err, out)
		}
	}
	accepted("first", shortKey+"xx", "/heartbeat", "")
	accepted("first", shortKey+"xx", "/run/default/a", `{"day":"2026-11-22"}`)
	refused("second", longKey, "/heartbeat")
	overwrite(t, file, hmacSettings(first+", "+second))
	gateway.signal(syscall.SIGHUP)
	gateway.awaitLog("settings reloaded", "changed", "gateway.auth.hmac.keys")
	accepted("first", shortKey+"xx", "/heartbeat/a", "")
	accepted("second", longKey, "/heartbeat/b?wait=1ms", `{"note":"ü"}`)
	overwrite(t, file, hmacSettings(second))
	gateway.signal(syscall.SIGHUP)
	pollUntil(t, "the first key is gone", func() bool {
		out, _ := sign(t, "first", shortKey+"xx", url+"/heartbeat", "")
		return strings.Contains(out, "401")
	})
	accepted("second", longKey, "/heartbeat", "")
	for _, record := range gateway.records() {
		if strings.Contains(record, shortKey[:6]) || strings.Contains(record, longKey) {
			t.Errorf("a key is in the log: %s", record)
		}
	}
}

// records are the log records so far, as JSON.
func (d *daemon) records() (all []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, record := range d.logs {
		line, _ := json.Marshal(record)
		all = append(all, string(line))
	}
	return all
}

// R2.5: a signed request that is sent again, to whatever gateway and also after a restart of one, starts nothing.
func TestASignedRunNowThatIsReplayedRunsOnce(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.put("job", 1, `echo ran >> "$DIR/runs"`)
	s.workers(1, 2, "SYSTOLE_NATS__DUPLICATE_WINDOW="+window)
	file := write(t, "systole.yaml", hmacSettings("{name: cron, value_file: "+write(t, "key", longKey)+", scopes: [run]}"))
	gateways := []*daemon{}
	for _, name := range []string{"g1", "g2"} {
		gateways = append(gateways, spawn(t, name, []string{"gateway", "-c", file}, s.environ("gateway")...))
		gateways[len(gateways)-1].awaitReady()
	}
	// Somebody on the way keeps the request.
	kept := make(chan *http.Request, 1)
	listener := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { kept <- r.Clone(t.Context()) }))
	defer listener.Close()
	path := "/run/default/" + flowName("job", 0)
	if out, err := sign(t, "cron", longKey, listener.URL+path, ""); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	request := <-kept
	ask := func(gateway *daemon) (status int, body string) {
		t.Helper()
		again, err := http.NewRequestWithContext(t.Context(), request.Method, gateway.url("gateway")+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		again.Header = request.Header
		return send(t, http.DefaultClient, again)
	}
	replay := func(gateway *daemon) (duplicate bool) {
		t.Helper()
		status, body := ask(gateway)
		if status != http.StatusAccepted {
			t.Fatalf("answered %d %s", status, body)
		}
		return strings.Contains(body, `"duplicate":true`)
	}
	if replay(gateways[0]) {
		t.Error("the first one is a duplicate")
	}
	s.awaitRuns(1, store.StatusSuccess)
	gateways[0].kill()
	gateways[0] = spawn(t, "g1 again", []string{"gateway", "-c", file}, s.environ("gateway")...)
	gateways[0].awaitReady()
	for i, gateway := range []*daemon{gateways[1], gateways[0], gateways[1]} {
		if !replay(gateway) {
			t.Errorf("replay %d is no duplicate", i+1)
		}
	}
	// A NATS server that was restarted has forgotten the requests that were carried out: the run's own record has not.
	s.nats.Stop()
	s.nats.Restart(t, true)
	pollUntil(t, "a replay is taken again", func() bool {
		status, _ := ask(gateways[0])
		return status == http.StatusAccepted
	})
	// A run that is asked for later has run: so would a replay, if there were one.
	if out, err := sign(t, "cron", longKey, gateways[0].url("gateway")+path, ""); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.awaitRuns(2, store.StatusSuccess)
	if got := s.lines("runs"); len(got) != 2 {
		t.Errorf("it ran %d times, want 2", len(got))
	}
}
