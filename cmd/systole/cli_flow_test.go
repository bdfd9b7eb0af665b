package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const (
	goodFlow   = "name: good\nevery: 1h\nexec:\n  command: [\"echo\", \"hello\"]\n"
	brokenFlow = "name: broken\nexec:\n  command: [\"sh\", \"-c\", \"echo no such table >&2; exit 3\"]\nevery: 1h\n"
	slowFlow   = "name: slow\ntimeout: 5m\nexec:\n  command: [\"sleep\", \"240\"]\n"
	demandFlow = "name: report\nfunction:\n  name: echo\n"
)

// against gives the environment of a command that talks to r.
func against(r *role) []string {
	return []string{"SYSTOLE_SERVER=" + r.url, "SYSTOLE_GATEWAY=" + r.url + "/heartbeat"}
}

func TestValidateNamesEverythingThatIsWrongInAFolderWithFileLineAndColumn(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"good.yaml":  goodFlow,
		"bad.yaml":   "name: Bad Name\nevery: 5 minutes\nexec:\n  command: [\"a\"]\n---\nname: two-kinds\nexec: {command: [a]}\nfunction: {name: noop}\n",
		"worse.yaml": "name: later\npipeline: {source: {}}\ntimeot: 5s\n",
		"twice.yaml": "name: good\nfunction: {name: noop}\n",
		"notes.txt":  "not a flow",
	})
	bad, worse, twice := filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "worse.yaml"), filepath.Join(dir, "twice.yaml")
	run(t, nil, "flow", "validate", dir).expect(t, exitFailed,
		bad+":1:7: name: found \"Bad Name\", allowed is", bad+":2:8: every: found \"5 minutes\", allowed is", bad+":8:1: function: found \"exec and function\"",
		worse+":2:", worse+":3:1: timeot", twice+":1:").without(t, "notes.txt", "good.yaml:1:1")
}

func TestValidateShowsWhatItReadInEveryFormat(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"good.yaml": goodFlow, "report.yml": demandFlow})
	run(t, nil, "flow", "validate", dir).expect(t, exitFine, "NAME", "every 1h", "on demand")
	var shown struct {
		Flows []struct{ Name, File string }
	}
	decode(t, run(t, nil, "flow", "validate", "-o", "json", dir), &shown)
	if len(shown.Flows) != 2 || shown.Flows[1].Name != "report" || shown.Flows[0].File != filepath.Join(dir, "good.yaml") {
		t.Errorf("got %+v", shown)
	}
	runWith(t, demandFlow, nil, "flow", "validate", "-").expect(t, exitFine, "report", "<stdin>")
	run(t, nil, "flow", "validate", filepath.Join(dir, "good.yaml"), "-f", filepath.Join(dir, "report.yml")).expect(t, exitFine, "good", "report")
}

func TestApplyWithSomethingWrongAppliesNothing(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	dir := folder(t, map[string]string{"a.yaml": goodFlow, "b.yaml": "name: bad\nevery: -1s\nfunction: {name: noop}\n"})
	run(t, against(dev), "flow", "apply", "-f", dir).
		expect(t, exitFailed, filepath.Join(dir, "b.yaml")+":2:8: every: found").without(t, "RESULT", "created")
	if listed := run(t, against(dev), "flow", "list", "-o", "json").expect(t, exitFine); strings.Contains(listed.out, "good") {
		t.Errorf("something was applied:\n%s", listed)
	}
}

func TestFlowsAreAppliedListedShownRunAndDeleted(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	env := against(dev)
	dir := folder(t, map[string]string{"good.yaml": goodFlow})
	apply := []string{"flow", "apply", "-f", dir, "-f", "-"}
	runWith(t, demandFlow, env, apply...).expect(t, exitFine, "good", "report", "created")
	runWith(t, demandFlow, env, apply...).expect(t, exitFine, "unchanged", "0 created")
	runWith(t, demandFlow+"timeout: 7s\n", env, apply...).expect(t, exitFine, "changed", "unchanged")

	var list struct {
		Flows []struct{ Name, Group string }
	}
	decode(t, run(t, env, "flow", "list", "-o", "json"), &list)
	if len(list.Flows) != 2 || list.Flows[0].Name != "good" || list.Flows[0].Group != "default" {
		t.Errorf("listed are %+v", list)
	}
	run(t, env, "flow", "list").expect(t, exitFine, "NAME", "SCHEDULE", "every 1h", "on demand")
	if rows := strings.Count(run(t, env, "flow", "list", "--limit", "1").out, "\n"); rows != 2 {
		t.Errorf("--limit 1 shows %d lines, want the head and one flow", rows)
	}
	run(t, env, "flow", "list", "--group", "other").expect(t, exitFine).without(t, "good")
	run(t, env, "flow", "show", "report", "-o", "yaml").expect(t, exitFine, "name: report", "timeout: 7s")

	id := strings.TrimSpace(run(t, env, "flow", "run", "report", "--params", `{"day":"2026-11-22"}`).expect(t, exitFine, "report~").out)
	settle(t, env, id)
	run(t, env, "run", "show", id).expect(t, exitFine, id, "success")
	run(t, env, "run", "logs", id).expect(t, exitFine, `attempt 1 {"day":"2026-11-22"}`)

	run(t, env, "flow", "delete", "report").expect(t, exitFine, "report deleted")
	run(t, env, "flow", "delete", "report").expect(t, exitFailed, "404 Not Found")
	run(t, env, "flow", "show", "report").expect(t, exitFailed, "404 Not Found")
	run(t, env, "flow", "run", "report").expect(t, exitFailed, "404 Not Found")
}

func TestRunsAreListedShownAndTheirLogsPrinted(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil, "--flows", folder(t, map[string]string{"good.yaml": goodFlow, "broken.yaml": brokenFlow}))
	env := against(dev)
	run(t, env, "beat", "--wait", "1m").expect(t, exitFailed, `"succeeded":1`, "failed runs: 1")

	var list struct {
		Runs []struct{ ID, Flow, Status, Error string }
	}
	listed := run(t, env, "run", "list", "-o", "yaml").expect(t, exitFine)
	if err := yaml.Unmarshal([]byte(listed.out), &list); err != nil || len(list.Runs) != 2 {
		t.Fatalf("listed are %+v, %v\n%s", list, err, listed)
	}
	run(t, env, "run", "list").expect(t, exitFine, "good", "broken", "success", "failed")
	run(t, env, "run", "list", "--status", "failed").expect(t, exitFine, "broken").without(t, "good~")
	run(t, env, "run", "list", "--flow", "good", "--limit", "0").expect(t, exitFine, "good~").without(t, "broken~")
	for _, listed := range list.Runs {
		run(t, env, "run", "show", listed.ID, "-o", "json").expect(t, exitFine, fmt.Sprintf("%q", listed.ID), listed.Status)
		word := map[string]string{"good": "hello", "broken": "no such table"}[listed.Flow]
		run(t, env, "run", "logs", listed.ID).expect(t, exitFine, word)
	}
	run(t, env, "run", "show", "good~1").expect(t, exitFailed, "404 Not Found")
	run(t, env, "run", "logs", "good~1").expect(t, exitFailed, "404 Not Found")
}

func TestDevAppliesFlowsAsTheirFilesChangeAndKeepsTheOldOnesWhileSomethingIsWrong(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"good.yaml": goodFlow})
	dev := startDev(t, nil, "--flows", dir)
	dev.log.skip()
	replace(t, filepath.Join(dir, "good.yaml"), "name: good\nevery: never\n")
	dev.log.find(t, regexp.MustCompile(`flows not applied, the old ones stand.*good.yaml:2:8`))
	run(t, against(dev), "flow", "show", "good").expect(t, exitFine, "every 1h")
	dev.log.skip()
	replace(t, filepath.Join(dir, "good.yaml"), demandFlow)
	dev.log.find(t, regexp.MustCompile(`flows applied.*created=1.*deleted=1`))
	run(t, against(dev), "flow", "list").expect(t, exitFine, "report").without(t, "good")
}

// A file of settings may be meant for another NATS, as one of a deployment is.
func TestDevMakesItsStreamsWhateverTheSettingsSayOfAnotherNATS(t *testing.T) {
	t.Parallel()
	settings := []string{"SYSTOLE_NATS__MAKE_STREAMS=false", "SYSTOLE_NATS__REPLICAS=3", "SYSTOLE_NATS__PREFIX=other"}
	dev := startDev(t, settings, "--flows", folder(t, map[string]string{"good.yaml": goodFlow}))
	run(t, against(dev), "beat", "--wait", "1m").expect(t, exitFine, `"status":"settled"`, `"flows_due":1`)
}

func TestDevWithABadFlowDoesNotStart(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"bad.yaml": "name: bad\n"})
	run(t, nil, "dev", "--gateway.listen", "127.0.0.1:0", "--flows", dir).expect(t, exitFailed, filepath.Join(dir, "bad.yaml")+":1:1")
	run(t, nil, "dev", "--gateway.listen", "127.0.0.1:0", "--flows", "/nowhere").expect(t, exitFailed, "/nowhere")
}

// settle waits until a run has ended: a run-now tells nobody when it is done.
func settle(t *testing.T, env []string, id string) {
	t.Helper()
	pollUntil(t, id+" has ended", func() bool {
		var shown struct{ Status string }
		decode(t, run(t, env, "run", "show", id, "-o", "json"), &shown)
		return shown.Status == "success" || shown.Status == "failed"
	})
}

func decode(t *testing.T, a answer, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.expect(t, exitFine).out), into); err != nil {
		t.Fatalf("decode: %v\n%s", err, a)
	}
}
