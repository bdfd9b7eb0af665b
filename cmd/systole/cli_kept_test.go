package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/trigger"
)

// What the settings say of streams is what the streams are, also of those that a role with other settings has made.
func TestSettingsBoundTheStreams(t *testing.T) {
	t.Parallel()
	natsServer, _, environ := servers(t)
	js, err := jetstream.New(testenv.Connect(t, natsServer.URL), jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	subjects := trigger.Subjects{Prefix: "systole"}
	// bounds tells how events and dead letters are kept; nothing while a stream is missing.
	bounds := func() (kept string) {
		for _, stream := range []string{subjects.EventStream(), subjects.DeadStream()} {
			if found, err := js.Stream(t.Context(), stream); err == nil {
				cfg := found.CachedInfo().Config
				kept += fmt.Sprint(cfg.MaxAge, " ", cfg.MaxBytes>>20, " MiB ", cfg.MaxMsgs, "; ")
			}
		}
		return kept
	}
	for _, step := range []struct {
		settings []string
		want     string
	}{
		{nil, "168h0m0s 64 MiB 200000; 168h0m0s 64 MiB 10000; "},
		{[]string{
			"SYSTOLE_NATS__EVENT_TTL=2h", "SYSTOLE_NATS__EVENT_BYTES=3MiB", "SYSTOLE_NATS__EVENT_MESSAGES=400",
			"SYSTOLE_NATS__DEAD_TTL=5h", "SYSTOLE_NATS__DEAD_MESSAGES=600",
		}, "2h0m0s 3 MiB 400; 5h0m0s 64 MiB 600; "},
	} {
		worker := launch(t, append(slices.Clone(environ), step.settings...), "worker")
		pollUntil(t, "the streams are "+step.want, func() bool { return bounds() == step.want })
		worker.stop()
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
