package main

import (
	"path/filepath"
	"testing"
)

const nightly = "name: nightly\ncron: \"*/20 2 * * *\"\ntimezone: Europe/Berlin\nexec:\n  command: [\"true\"]\n"

func TestAPreviewOfAFileNeedsNoServer(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"nightly.yaml": nightly, "good.yaml": goodFlow})
	march := []string{"flow", "preview", "-f", dir, "nightly", "--from", "2026-03-28T12:00:00Z", "--count", "2"}
	run(t, nil, march...).expect(t, exitFine, "2026-03-29 01:00:00Z   2026-03-29T03:00:00+02:00   -", "2026-03-30 00:00:00Z", "23h").without(t, "HEARTBEAT", "warning")
	run(t, nil, append(march, "--beats", "1h")...).expect(t, exitFine, "HEARTBEAT", "warning: a heartbeat every 1h is slower than the flow, whose slots come as close as 20m")

	var shown struct {
		Flow  string
		Slots []struct{ Slot, Local string }
		Beats []struct {
			At        string
			Coalesced []string
		}
		Warnings []string
	}
	decode(t, run(t, nil, append(march, "--beats", "26h", "-o", "json")...), &shown)
	if shown.Flow != "nightly" || len(shown.Slots) != 2 || len(shown.Beats) != 2 || shown.Beats[1].At == "" || len(shown.Warnings) != 1 {
		t.Errorf("got %+v", shown)
	}
	runWith(t, goodFlow, nil, "flow", "preview", "-f", "-", "-o", "yaml").expect(t, exitFine, "flow: good", "warnings: []")
	runWith(t, demandFlow, nil, "flow", "preview", "-f", "-", "--beats", "1m").expect(t, exitFine, "the flow is on demand")
}

func TestAPreviewOfAFileSaysWhichFlowsItCouldBeOf(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"nightly.yaml": nightly, "good.yaml": goodFlow, "other.yaml": "group: other\n" + goodFlow})
	preview := []string{"flow", "preview", "-f", dir}
	run(t, nil, preview...).expect(t, exitUsage, "found 3 flows", "default/good, default/nightly, other/good")
	run(t, nil, append(preview, "good")...).expect(t, exitUsage, "found 2 flows", "default/good, other/good")
	run(t, nil, append(preview, "good", "--group", "other")...).expect(t, exitFine, "SLOT")
	run(t, nil, append(preview, "gone")...).expect(t, exitUsage, `found "gone"`, "default/nightly")
	run(t, nil, append(preview, "nightly", "--count", "0")...).expect(t, exitUsage, "--count: found 0, allowed is 1 to 1000")
	run(t, nil, append(preview, "nightly", "--beats", "-1s")...).expect(t, exitUsage, "--beats: found -1s, allowed is a duration from 1ms")
	bad := write(t, "bad.yaml", "name: bad\ncron: \"0 25 * * *\"\nfunction: {name: noop}\n")
	run(t, nil, "flow", "preview", "-f", bad).expect(t, exitFailed, bad+`:2:7: cron: found field 2 (hour) "25", allowed is 0 to 23`)
	run(t, nil, "flow", "preview", "-f", filepath.Join(dir, "gone.yaml")).expect(t, exitFailed, "gone.yaml")
}

func TestAPreviewOfAnAppliedFlowBeginsWhereItStands(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	env := against(dev)
	runWith(t, goodFlow, env, "flow", "apply", "-f", "-").expect(t, exitFine)
	run(t, env, "flow", "preview", "good", "--beats", "10m").expect(t, exitFine, "SLOT", "1h", "HEARTBEAT").without(t, "warning")
	run(t, env, "flow", "preview", "good", "--beats", "90m").expect(t, exitFine, "warning: a heartbeat every 1h30m is slower than the flow, whose slots come as close as 1h")
	run(t, env, "beat", "--wait", "1m").expect(t, exitFine, `"succeeded":1`)
	var shown struct {
		NextSlot string `json:"next_slot"`
	}
	decode(t, run(t, env, "flow", "show", "good", "-o", "json"), &shown)
	run(t, env, "flow", "preview", "good", "-o", "json").expect(t, exitFine, shown.NextSlot)
	run(t, env, "flow", "preview", "gone").expect(t, exitFailed, "404 Not Found")
}
