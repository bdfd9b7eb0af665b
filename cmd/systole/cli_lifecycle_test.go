package main

import (
	"strings"
	"testing"
)

func TestAPausedFlowDoesNotRunUntilItIsResumed(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	env := against(dev)
	run(t, env, "flow", "pause", "good").expect(t, exitFailed, "404 Not Found")
	runWith(t, goodFlow, env, "flow", "apply", "-f", "-").expect(t, exitFine)
	run(t, env, "flow", "pause", "good", "--reason", "moving").expect(t, exitFine, "good paused")
	run(t, env, "flow", "list").expect(t, exitFine, "paused")
	run(t, env, "flow", "show", "good").expect(t, exitFine, "paused", "moving").without(t, "not read")
	run(t, env, "beat", "--wait", "1m").expect(t, exitFine, `"flows_triggered":0`)
	run(t, env, "flow", "resume", "good").expect(t, exitFine, "good resumed")
	run(t, env, "flow", "list").expect(t, exitFine).without(t, "paused")
	run(t, env, "beat", "--wait", "1m").expect(t, exitFine, `"succeeded":1`)
	run(t, env, "flow", "slots", "good").expect(t, exitFine, "ran", "good~")
}

func TestARunInProgressIsCancelledByItsWorker(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	env := against(dev)
	runWith(t, slowFlow, env, "flow", "apply", "-f", "-").expect(t, exitFine)
	id := strings.TrimSpace(run(t, env, "flow", "run", "slow").expect(t, exitFine).out)
	run(t, env, "run", "cancel", id, "--reason", "wrong day", "--wait", "1m").expect(t, exitFine, id+" cancelled")
	run(t, env, "run", "show", id).expect(t, exitFine, "cancelled: wrong day")
	run(t, env, "run", "cancel", id).expect(t, exitFailed, "409 Conflict", "can be retried")
	run(t, env, "run", "cancel", "slow~1").expect(t, exitFailed, "404 Not Found")
}

func TestWhatFailedForGoodIsRetriedOrPurged(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	env := against(dev)
	runWith(t, strings.Replace(brokenFlow, "every: 1h\n", "", 1), env, "flow", "apply", "-f", "-").expect(t, exitFine)
	broken := func(args ...string) string {
		t.Helper()
		id := strings.TrimSpace(run(t, env, args...).expect(t, exitFine, "broken~").out)
		settle(t, env, id)
		return id
	}
	run(t, env, "run", "retry", "broken~1").expect(t, exitFailed, "404 Not Found")
	first := broken("flow", "run", "broken", "--params", `{"day":"2026-11-22"}`)
	second := broken("run", "retry", first)
	run(t, env, "run", "show", second, "-o", "json").expect(t, exitFine, "2026-11-22", "failed")
	run(t, env, "dead", "list").expect(t, exitFine, second)

	third := broken("dead", "retry", second)
	run(t, env, "dead", "list", "-o", "json").expect(t, exitFine, third).without(t, second)
	run(t, env, "dead", "purge", third).expect(t, exitFine, "1 purged")
	run(t, env, "dead", "purge", third).expect(t, exitFailed, "404 Not Found")
	run(t, env, "dead", "purge", "--all").expect(t, exitFine, "purged")
	run(t, env, "dead", "list").expect(t, exitFine).without(t, "broken~")
	run(t, env, "dead", "retry", third).expect(t, exitFailed, "404 Not Found")
}
