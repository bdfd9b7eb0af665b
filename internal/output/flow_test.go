package output_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

func slots() []store.SlotRange {
	const why = "no heartbeat came between 14:05 and 14:15, and the later slot of 14:20 was run in their place"
	return []store.SlotRange{
		{From: *at(9), To: *at(9), Count: 1, Outcome: "ran", RunID: "orders~2"},
		{From: *at(2), To: *at(8), Count: 3, Outcome: "missed", Reason: "no_beat", Detail: why},
		{From: *at(1), To: *at(1), Count: 1, Outcome: "ran", RunID: "orders~1"},
	}
}

func shownAs(t *testing.T, format output.Format, show func(*output.Printer) error) string {
	t.Helper()
	var text bytes.Buffer
	if err := show(output.New(&text, format)); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestAFlowIsShownWithItsPauseAndItsLastSlots(t *testing.T) {
	t.Parallel()
	flow := flows()[0]
	flow.Overlap, flow.Concurrency, flow.Running, flow.RunningID = store.OverlapAllow, &store.Concurrency{Key: "warehouse", Max: 2}, 3, "orders~3"
	flow.Description, flow.Timeout, flow.Due, flow.Paused, flow.PausedReason, flow.PausedAt = "Orders", 0, false, true, strings.Repeat("moving the warehouse ", 5), at(10)
	got := shownAs(t, output.Table, func(p *output.Printer) error { return p.Flow(flow, slots(), nil) })
	want := `NAME          orders
GROUP         default
DESCRIPTION   Orders
KIND          exec
SCHEDULE      every 5m
TIMEOUT       0s
OVERLAP       allow
CONCURRENCY   warehouse, at most 2
STATE         running, then paused
PAUSED        2026-11-22 09:00:10Z
REASON        moving the warehouse moving the warehouse moving the warehouse moving the warehouse moving the warehouse
NEXT SLOT     2026-11-22 09:00:00Z
RUNNING       orders~3 and 2 more
LAST RUN      -
LAST          failed
LAST END      2026-11-22 09:00:01Z
FAILURES      2
SLOTS         2 ran, 3 missed

FROM                   TO                     COUNT   OUTCOME   REASON    RUN        WHY
2026-11-22 09:00:09Z   2026-11-22 09:00:09Z   1       ran       -         orders~2   -
2026-11-22 09:00:02Z   2026-11-22 09:00:08Z   3       missed    no_beat   -          no heartbeat came between 14:05 and 14:15, and the later sl…
2026-11-22 09:00:01Z   2026-11-22 09:00:01Z   1       ran       -         orders~1   -
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAFlowIsShownAlthoughItsSlotsCouldNotBeRead(t *testing.T) {
	t.Parallel()
	got := shownAs(t, output.Table, func(p *output.Printer) error { return p.Flow(flows()[2], nil, errors.New("503\x1b[31m away")) })
	if !strings.HasSuffix(got, "SLOTS         not read: 503 [31m away\n") || strings.Contains(got, "PAUSED") {
		t.Errorf("got\n%s", got)
	}
}

func TestAFlowIsForProgramsWhatTheAPIGives(t *testing.T) {
	t.Parallel()
	alone := shownAs(t, output.JSON, func(p *output.Printer) error { return p.Value(flows()[0]) })
	if got := shownAs(t, output.JSON, func(p *output.Printer) error { return p.Flow(flows()[0], slots(), nil) }); got != alone {
		t.Errorf("got\n%s\nwant\n%s", got, alone)
	}
}

func TestOneSlotIsShownWithAllOfItsReason(t *testing.T) {
	t.Parallel()
	if got := shownAs(t, output.Table, func(p *output.Printer) error { return p.Slot(slots()[1]) }); !strings.Contains(got, "WHY       "+slots()[1].Detail+"\n") {
		t.Errorf("got\n%s", got)
	}
	list := shownAs(t, output.YAML, func(p *output.Printer) error { return p.Slots(slots()[1:2]) })
	if got := shownAs(t, output.YAML, func(p *output.Printer) error { return p.Slot(slots()[1]) }); got != list || !strings.Contains(got, "outcome: missed") {
		t.Errorf("got\n%s\nwant\n%s", got, list)
	}
	if got := shownAs(t, output.JSON, func(p *output.Printer) error { return p.Slots(nil) }); strings.Join(strings.Fields(got), "") != `{"slots":[]}` {
		t.Errorf("none are %s", got)
	}
}

func TestARunThatIsPendingSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	runs := []store.Run{
		{ID: "a~1", Status: store.StatusPending, WaitsFor: "one of 2 places of concurrency key warehouse"},
		{ID: "a~2", Status: store.StatusPending, DueAt: at(7)},
	}
	got := shownAs(t, output.Table, func(p *output.Printer) error { return p.Runs(runs) })
	for _, want := range []string{"waits for one of 2 places of concurrency key warehouse", "waits for a heartbeat from 2026-11-22 09:00:07Z on"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

func TestOneRunIsShownWithAllOfItsError(t *testing.T) {
	t.Parallel()
	why := strings.Repeat("the warehouse is closed ", 5) + "today"
	run := store.Run{
		ID: "orders~1", Flow: "orders", Group: "default", Status: store.StatusFailed, Reason: "error", OccurrenceID: "default/orders@1",
		Slot: at(0), Attempt: 2, Worker: "w1", BeatID: "b1", StartedAt: at(1), EndedAt: at(3), DurationMS: 2000, Error: why, Params: []byte(`{"day":1}`),
	}
	got := shownAs(t, output.Table, func(p *output.Printer) error { return p.Run(run) })
	want := `ID           orders~1
FLOW         orders
GROUP        default
STATUS       failed
REASON       error
MESSAGE      ` + why + `
OCCURRENCE   default/orders@1
SLOT         2026-11-22 09:00:00Z
ATTEMPT      2
BEAT         b1
WORKER       w1
PARAMS       {"day":1}
STARTED      2026-11-22 09:00:01Z
TOOK         2s
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := shownAs(t, output.JSON, func(p *output.Printer) error { return p.Run(run) }); got != shownAs(t, output.JSON, func(p *output.Printer) error { return p.Value(run) }) {
		t.Errorf("for programs it is\n%s", got)
	}
}
