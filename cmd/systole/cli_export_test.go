package main

import (
	"path/filepath"
	"testing"
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
