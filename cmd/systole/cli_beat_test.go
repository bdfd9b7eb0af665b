package main

import (
	"encoding/json"
	"testing"

	"github.com/systole-run/systole/store"
)

// R4.5: a heartbeat by hand.
func TestABeatIsSentAndItsAnswerPrinted(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil, "--flows", folder(t, map[string]string{"good.yaml": goodFlow}))
	run(t, against(dev), "beat", "--note", "by hand").expect(t, exitFine, `"status":"accepted"`, `"group":"default"`)
	run(t, against(dev), "beat", "--group", "reports", "--wait", "1m").expect(t, exitFine, `"status":"settled"`, `"group":"reports"`, `"flows_due":0`)
	run(t, nil, "beat", "--gateway", dev.url+"/heartbeat/", "--wait", "1m").expect(t, exitFine, `"status":"settled"`)
}

func TestABeatRepeatedWithItsKeyIsADuplicate(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	run(t, against(dev), "beat", "--idempotency-key", "k1").expect(t, exitFine).without(t, `"duplicate":true`)
	run(t, against(dev), "beat", "--idempotency-key", "k1").expect(t, exitFine, `"duplicate":true`)
}

func TestABeatThatIsWaitedForExitsWith1IfARunFailed(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil, "--flows", folder(t, map[string]string{"good.yaml": goodFlow, "broken.yaml": brokenFlow}))
	sent := run(t, against(dev), "beat", "--wait", "1m").expect(t, exitFailed, "systole: failed runs: 1")
	var settled struct {
		Status    string
		Due       int `json:"flows_due"`
		Succeeded int
		Failed    int
	}
	if err := json.Unmarshal([]byte(sent.out), &settled); err != nil || settled.Due != 2 || settled.Succeeded != 1 || settled.Failed != 1 {
		t.Errorf("the answer is %+v, %v\n%s", settled, err, sent)
	}
	run(t, against(dev), "beat", "--wait", "1m").expect(t, exitFine, `"flows_due":0`)
}

func TestABeatThatHasNotSettledInTimeExitsWith1(t *testing.T) {
	t.Parallel()
	slow := "name: slow\nevery: 1h\nexec:\n  command: [\"sh\", \"-c\", \"sleep 60\"]\n"
	dev := startDev(t, []string{"SYSTOLE_WORKER__DRAIN_TIMEOUT=0s", "SYSTOLE_EXECUTOR__EXEC__KILL_GRACE=1ms"},
		"--flows", folder(t, map[string]string{"slow.yaml": slow}))
	run(t, against(dev), "beat", "--wait", "300ms").expect(t, exitFailed, `"status":"draining"`, "has not settled within 300ms")
}

func TestARefusedBeatSaysWhyAndExitsWith1(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	run(t, against(dev), "beat", "--wait", "10h").expect(t, exitFailed, "the gateway answered 400 Bad Request", "wait: found")
	run(t, nil, "beat", "--gateway", dev.url+"/elsewhere").expect(t, exitFailed, "404 Not Found")
}

func TestBeatListShowsWhatCameAndWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil, "--flows", folder(t, map[string]string{"good.yaml": goodFlow}))
	env := against(dev)
	run(t, env, "beat", "list").expect(t, exitFine, "ID", "AS OF", "LATENESS", "GAP").without(t, "systole beat")
	for range 3 {
		run(t, env, "beat", "--note", "by hand", "--wait", "1m").expect(t, exitFine)
	}
	var page struct{ Beats []store.BeatView }
	decode(t, run(t, env, "beat", "list", "-o", "json"), &page)
	if len(page.Beats) != 3 {
		t.Fatalf("%d beats: %+v", len(page.Beats), page.Beats)
	}
	newest, oldest := page.Beats[0], page.Beats[2]
	if newest.GapMS == nil || oldest.GapMS != nil || oldest.LatenessMS == nil || oldest.Succeeded != 1 || newest.Note != "by hand" || newest.Source != "systole beat" {
		t.Errorf("the newest is %+v, the oldest %+v", newest, oldest)
	}
	decode(t, run(t, env, "beat", "list", "-o", "json", "--limit", "2"), &page)
	if len(page.Beats) != 2 || page.Beats[0].ID != newest.ID {
		t.Errorf("the first two are %+v", page.Beats)
	}
	run(t, env, "beat", "list").expect(t, exitFine, "systole beat", newest.ID, oldest.ID)

	var all struct{ Groups []store.GroupStatus }
	decode(t, run(t, env, "status", "-o", "json"), &all)
	if len(all.Groups) != 1 || all.Groups[0].Flows != 1 || all.Groups[0].LastBeatID != newest.ID {
		t.Errorf("the groups stand at %+v", all.Groups)
	}
	run(t, env, "status").expect(t, exitFine, "LAST BEAT", newest.ID)
	run(t, env, "status", "--group", "default").expect(t, exitFine, newest.ID)
	run(t, env, "status", "--group", "reports").expect(t, exitFine, "LAST BEAT").without(t, newest.ID)
}
