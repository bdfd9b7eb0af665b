package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/systole-run/systole/store"
)

// What export prints makes the same flows again, with every field that they had, in a deployment that knows none of them.
func TestExportedFlowsAreTheSameWhereTheyAreApplied(t *testing.T) {
	t.Parallel()
	from := against(startDev(t, nil))
	for _, path := range []string{filepath.Join("..", "..", "examples", "flows"), filepath.Join("..", "..", "deploy", "flows")} {
		run(t, from, "flow", "apply", "-f", path).expect(t, exitFine)
	}
	runWith(t, everyField, from, "flow", "apply", "-f", "-").expect(t, exitFine)
	exported := run(t, from, "flow", "export").expect(t, exitFine, "name: complete\n", "initial: 10s").without(t, "slots_ran", "next_slot", "source:").out
	runWith(t, exported, from, "flow", "apply", "-f", "-").expect(t, exitFine, "0 created, 0 changed")

	to := against(startDev(t, nil))
	runWith(t, exported, to, "flow", "apply", "-f", "-").expect(t, exitFine, "0 changed, 0 unchanged")
	if again := run(t, to, "flow", "export").expect(t, exitFine).out; again != exported {
		t.Errorf("exported were\n%s\nand there are now\n%s", exported, again)
	}
	run(t, to, "flow", "export", "--group", "nobody").expect(t, exitFine).without(t, "name")
}

const everyField = `name: complete
description: "A text: with # signs, 'quotes' and\ttabs"
cron: "0 7 * * 1-5"
timezone: Europe/Berlin
timeout: 90s
overlap: allow
catchup: all
catchup_limit: 7
start_deadline: 10m
retry: {attempts: 3, initial: 10s, factor: 2.5, max: 10m, jitter: 0.2}
concurrency: {key: warehouse, max: 2}
pause_after: 5
params: {type: object, properties: {day: {type: string, pattern: "^[0-9-]+$"}}, additionalProperties: false}
exec:
  command: ["sh", "-c", "echo \"$DAY\"\n# yes: no\n"]
  env: {DAY: "0123", EMPTY: "", YES: "yes"}
  limits: {cpu: 30s, memory: 256MiB}
`

func TestAFlowThatCannotBeReadIsListedAndNotExported(t *testing.T) {
	t.Parallel()
	_, redis, environ := servers(t)
	console := launch(t, append(environ, "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0"), "console")
	here := []string{"SYSTOLE_SERVER=" + console.log.find(t, regexp.MustCompile(`msg=listening component=console listen=(\S+)`))[1]}
	const flow = "---\nname: %s\nfunction: {name: f}\n"
	runWith(t, fmt.Sprintf(flow+flow, "newer", "older"), here, "flow", "apply", "-f", "-").expect(t, exitFine)
	client, err := store.Connect(store.ConnConfig{URLs: []string{redis.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.HSet(t.Context(), "systole:{default/0}:defs", "newer", `{"name":"newer","every":[1]}`).Err(); err != nil {
		t.Fatal(err)
	}
	run(t, here, "flow", "list").expect(t, exitFine, "unreadable", "older")
	run(t, here, "flow", "list", "-o", "json").expect(t, exitFine, `"unreadable": "decode definition: `)
	run(t, here, "flow", "export").expect(t, exitFailed, "name: older", "flow newer cannot be read, and is left out: decode definition").without(t, "name: newer")
}
