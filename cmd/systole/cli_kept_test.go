package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/trigger"
)

// What the settings say of streams is what the streams are, whichever role came first.
func TestSettingsBoundTheStreams(t *testing.T) {
	t.Parallel()
	natsServer, _, environ := servers(t)
	js, err := jetstream.New(testenv.Connect(t, natsServer.URL))
	if err != nil {
		t.Fatal(err)
	}
	bounds := func(stream string) (maxAge time.Duration, maxBytes, maxMessages int64) {
		t.Helper()
		found, err := js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		cfg := found.CachedInfo().Config
		return cfg.MaxAge, cfg.MaxBytes, cfg.MaxMsgs
	}
	subjects := trigger.Subjects{Prefix: "systole"}
	run(t, environ, "doctor").expect(t, exitFine)
	if maxAge, maxBytes, messages := bounds(subjects.EventStream()); maxAge != 7*24*time.Hour || maxBytes != 64<<20 || messages != 200_000 {
		t.Errorf("by default events are kept for %s, up to %d bytes and %d of them", maxAge, maxBytes, messages)
	}
	if maxAge, _, messages := bounds(subjects.DeadStream()); maxAge != 7*24*time.Hour || messages != 10_000 {
		t.Errorf("by default dead letters are kept for %s, up to %d of them", maxAge, messages)
	}
	run(t, append(environ, "SYSTOLE_NATS__EVENT_TTL=2h", "SYSTOLE_NATS__EVENT_BYTES=3MiB", "SYSTOLE_NATS__EVENT_MESSAGES=400",
		"SYSTOLE_NATS__DEAD_TTL=5h", "SYSTOLE_NATS__DEAD_MESSAGES=600"), "doctor").expect(t, exitFine)
	if maxAge, maxBytes, messages := bounds(subjects.EventStream()); maxAge != 2*time.Hour || maxBytes != 3<<20 || messages != 400 {
		t.Errorf("events are kept for %s, up to %d bytes and %d of them", maxAge, maxBytes, messages)
	}
	if maxAge, _, messages := bounds(subjects.DeadStream()); maxAge != 5*time.Hour || messages != 600 {
		t.Errorf("dead letters are kept for %s, up to %d of them", maxAge, messages)
	}
}

func TestASettingBoundsTheDead(t *testing.T) {
	t.Parallel()
	dev := startDev(t, []string{"SYSTOLE_HISTORY__DEAD_LETTERS=1"})
	env := against(dev)
	runWith(t, strings.Replace(brokenFlow, "every: 1h\n", "", 1), env, "flow", "apply", "-f", "-").expect(t, exitFine)
	var ids []string
	for range 2 {
		id := strings.TrimSpace(run(t, env, "flow", "run", "broken").expect(t, exitFine, "broken~").out)
		settle(t, env, id)
		ids = append(ids, id)
	}
	run(t, env, "dead", "list").expect(t, exitFine, ids[1]).without(t, ids[0])
}
