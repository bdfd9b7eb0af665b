package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/store"
)

// Secrets reach the flow that they are opened to, and nothing else: not its log, not Redis, not the events, not the
// worker's log, and no other flow, which may look at all of /proc.
func TestASecretReachesItsFlowAndNothingElse(t *testing.T) {
	t.Parallel()
	const token, password, natsPassword = "tok-3n-of-the-shop", "pa55-of-the-db", "unu5ed-pa55w0rd"
	s := newStand(t)
	mounted := t.TempDir()
	if err := os.WriteFile(filepath.Join(mounted, "db"), []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	events := s.hear("systole.event.>")
	w := s.worker("w1", "SHOP_TOKEN="+token, "SYSTOLE_EXECUTOR__SECRETS__DIR="+mounted, "NATS_PASSWORD="+natsPassword,
		"SYSTOLE_EXECUTOR__SECRETS__ALLOW=default/uses env:SHOP_TOKEN,default/uses secret:db")
	w.awaitReady()

	// What the flow prints in two parts, encoded, and as its error.
	uses := s.shell(`printf '%s' "${TOKEN%shop}"; printf '%s\n' shop; printf 'user:%s' "$PASSWORD" | base64; test "$PASSWORD" = "$EXPECTED" && echo it is; ` +
		`(tr '\0' '\n' </proc/$PPID/environ) 2>/dev/null; tr '\0' '\n' </proc/self/cmdline; echo "no entry for $TOKEN" >&2; exit 3`)
	uses.Env["TOKEN"], uses.Env["PASSWORD"], uses.Env["EXPECTED"] = "env:SHOP_TOKEN", "secret:db", password
	s.putFlow(store.DataFlow{Name: "uses", Exec: uses})
	other := s.shell(`env; ls -l /proc/self/fd; for f in /proc/$PPID/environ /proc/$PPID/cmdline; do tr '\0' '\n' <$f; done; grep -c . /proc/$PPID/maps; true`)
	s.putFlow(store.DataFlow{Name: "other", Exec: other})
	refused := s.shell("true")
	refused.Env["TOKEN"] = "env:SHOP_TOKEN"
	s.putFlow(store.DataFlow{Name: "refused", Exec: refused, Retry: &store.Retry{Attempts: 5}})

	s.publish("")
	s.settled(1)
	logs := map[string]string{}
	for _, run := range s.runs(store.RunFilter{}) {
		log, err := s.store.RunLog(t.Context(), store.DefaultGroup, run.ID)
		if err != nil {
			t.Fatal(err)
		}
		logs[run.Flow] = string(log) + "\nerror: " + run.Error + " " + run.Reason
	}
	for flow, want := range map[string][]string{
		"uses":    {"[redacted]\n", "it is", "error: command ended with exit code 3: no entry for [redacted]"},
		"other":   {"SYSTOLE_FLOW=other"},
		"refused": {"env:SHOP_TOKEN", "open to the flow by no rule", store.ReasonRefused},
	} {
		for _, text := range want {
			if !strings.Contains(logs[flow], text) {
				t.Errorf("%s does not say %q:\n%s", flow, text, logs[flow])
			}
		}
	}
	if dead, _, err := s.store.Dead(t.Context(), store.DefaultGroup, 10, ""); err != nil || len(dead) != 2 {
		t.Errorf("%d runs failed for good, want the one that failed and the one that was refused (%v)", len(dead), err)
	}
	places := map[string]string{"Redis": s.everythingInRedis(), "the events": events(), "the worker's log": w.everything(), "the runs": fmt.Sprint(logs)}
	for place, text := range places {
		for _, secret := range []string{token, natsPassword, base64.StdEncoding.EncodeToString([]byte("user:" + password))} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the secret %s", place, secret)
			}
		}
	}
	if strings.Contains(logs["uses"]+logs["other"], password) || strings.Contains(places["the worker's log"], password) {
		t.Error("a log has the password")
	}
}

// hear collects what is published on a subject; the function gives all of it.
func (s *stand) hear(subject string) func() string {
	s.t.Helper()
	nc := s.operator()
	heard := newLines()
	if _, err := nc.Subscribe(subject, func(m *nats.Msg) { fmt.Fprintln(heard, m.Header, string(m.Data)) }); err != nil {
		s.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return heard.String
}

// everything is all that the process has said.
func (d *daemon) everything() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprint(d.stdout, d.stderr, d.logs)
}

// everythingInRedis is each key with all that is in it.
func (s *stand) everythingInRedis() string {
	s.t.Helper()
	client := s.deployed.Redis(s.t, s.redis, "operator")
	var all strings.Builder
	keys := client.Scan(s.t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(s.t.Context()) {
		key := keys.Val()
		kind := client.Type(s.t.Context(), key).Val()
		command, known := map[string][]any{
			"hash": {"HGETALL", key}, "zset": {"ZRANGE", key, 0, -1}, "string": {"GET", key}, "list": {"LRANGE", key, 0, -1}, "set": {"SMEMBERS", key},
		}[kind]
		if !known {
			s.t.Fatalf("%s is a %s", key, kind)
		}
		content, err := client.Do(s.t.Context(), command...).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintln(&all, key, content)
	}
	if err := keys.Err(); err != nil || all.Len() == 0 {
		s.t.Fatalf("nothing was found in Redis: %v", err)
	}
	return all.String()
}
