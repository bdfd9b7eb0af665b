package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func preview(t testing.TB, flow store.DataFlow, from string, beats time.Duration, count int) store.Preview {
	t.Helper()
	got, err := flow.Preview(instant(t, from), beats, count)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// told is what each heartbeat does, in few words: "time of the beat: slot +coalesced -missed".
func told(p store.Preview) []string {
	var all []string
	for _, beat := range p.Beats {
		slot := "none"
		if beat.Slot != nil {
			slot = beat.Slot.Format(time.TimeOnly)
		}
		all = append(all, fmt.Sprintf("%s: %s +%d -%d", beat.At.Format(time.TimeOnly), slot, beat.CoalescedCount, beat.MissedCount))
	}
	return all
}

func TestPreviewTellsWhatEachHeartbeatWouldDo(t *testing.T) {
	t.Parallel()
	minute, five := store.Duration(time.Minute), store.Duration(5*time.Minute)
	for _, test := range []struct {
		name  string
		flow  store.DataFlow
		from  string
		beats time.Duration
		want  []string
		warns string
	}{
		{"beats as frequent as the slots", store.DataFlow{Every: minute}, "2026-01-01T10:00:00Z", time.Minute, []string{"10:00:00: 10:00:00 +0 -0", "10:01:00: 10:01:00 +0 -0", "10:02:00: 10:02:00 +0 -0"}, ""},
		{"beats that are more frequent are left out where they have nothing to do", store.DataFlow{Every: five}, "2026-01-01T10:00:00Z", time.Minute, []string{"10:00:00: 10:00:00 +0 -0", "10:05:00: 10:05:00 +0 -0", "10:10:00: 10:10:00 +0 -0"}, ""},
		{"slower beats coalesce", store.DataFlow{Every: minute}, "2026-01-01T10:00:00Z", 3 * time.Minute, []string{"10:00:00: 10:00:00 +0 -0", "10:03:00: 10:02:00 +1 -0", "10:06:00: 10:05:00 +2 -0"}, "a heartbeat every 3m is slower than the flow, whose slots come as close as 1m: of the next 6 slots, 3 run and 3 are covered by the run of a later slot"},
		{"a beat early by the slack runs the slot", store.DataFlow{Cron: "* * * * *"}, "2026-01-01T09:59:59Z", time.Minute, []string{"09:59:59: 10:00:00 +0 -0", "10:00:59: 10:01:00 +0 -0", "10:01:59: 10:02:00 +0 -0"}, ""},
		{"a beat earlier than the slack does not", store.DataFlow{Cron: "* * * * *"}, "2026-01-01T09:59:58.999Z", time.Minute, []string{"10:00:58: 10:00:00 +0 -0", "10:01:58: 10:01:00 +0 -0", "10:02:58: 10:02:00 +0 -0"}, ""},
		{"a cron slot at from counts", store.DataFlow{Cron: "0 10 * * *"}, "2026-01-01T10:00:00Z", time.Hour, []string{"10:00:00: 10:00:00 +0 -0", "10:00:00: 10:00:00 +0 -0", "10:00:00: 10:00:00 +0 -0"}, ""},
		{"what is later than the deadline is missed", store.DataFlow{Every: minute, StartDeadline: store.Duration(90 * time.Second)}, "2026-01-01T10:00:00Z", 4 * time.Minute, []string{"10:00:00: 10:00:00 +0 -0", "10:04:00: 10:03:00 +0 -2", "10:08:00: 10:07:00 +0 -3"}, "5 of the next 8 slots are missed, by start_deadline or by what catchup runs"},
		{"if all are later, none runs", store.DataFlow{Cron: "30 * * * *", StartDeadline: minute}, "2026-01-01T10:00:00Z", time.Hour, []string{"11:00:00: none +0 -1", "12:00:00: none +0 -1", "13:00:00: none +0 -1"}, "3 of the next 3 slots are missed"},
		{"a flow on demand", store.DataFlow{}, "2026-01-01T10:00:00Z", time.Hour, nil, "on demand"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := preview(t, test.flow, test.from, test.beats, 3)
			if !slices.Equal(told(got), test.want) {
				t.Errorf("got %q\nwant %q", told(got), test.want)
			}
			if warns := strings.Join(got.Warnings, "\n"); (test.warns == "") != (warns == "") || !strings.Contains(warns, test.warns) {
				t.Errorf("warns %q, want %q", warns, test.warns)
			}
		})
	}
}

// Whatever the cadence, each slot is accounted for once, in order, and the beats are those that the schedule itself would run.
func TestPreviewAccountsForEverySlotOnce(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(10, 11))
	for range 300 {
		flow := store.DataFlow{
			Cron: randomCron(random), Timezone: "Europe/Berlin", StartDeadline: store.Duration(random.IntN(2)) * store.Duration(random.Int64N(int64(time.Hour))),
			Catchup: []store.Catchup{store.CatchupLatest, store.CatchupAll, store.CatchupNone}[random.IntN(3)],
		}
		from := aroundAChange(random)
		got, err := flow.Preview(from, time.Duration(random.IntN(7200)+1)*time.Second, 20)
		if err != nil {
			t.Fatal(err)
		}
		schedule := scheduleOf(t, flow)
		slot := got.Slots[0].Slot
		for _, beat := range got.Beats {
			if !store.DueToRun(schedule.DueAt(slot), beat.At) || beat.At.Sub(got.From)%time.Duration(got.BeatsEvery) != 0 {
				t.Fatalf("%+v: %s is not due", beat, slot)
			}
			for range beat.MissedCount + beat.CoalescedCount {
				slot, _ = schedule.After(slot)
			}
			if beat.Slot == nil {
				continue
			}
			if !beat.Slot.Equal(slot) || len(beat.Coalesced) != min(beat.CoalescedCount, 10) {
				t.Fatalf("%q: %+v, want slot %s", flow.Cron, beat, slot)
			}
			slot, _ = schedule.After(slot)
		}
	}
}

func TestPreviewOfAFlowThatStandsSomewhereKeepsToItsGrid(t *testing.T) {
	t.Parallel()
	view := func(slot string, due bool, running string) store.FlowView {
		at := instant(t, slot)
		return store.FlowView{DataFlow: store.DataFlow{Every: store.Duration(5 * time.Minute)}, NextSlot: &at, Due: due, RunningID: running}
	}
	for _, test := range []struct {
		name string
		view store.FlowView
		want string
	}{
		{"waiting", view("2026-01-01T10:03:00Z", false, ""), "10:03:00 [10:03:00: 10:03:00 +0 -0 10:08:00: 10:08:00 +0 -0]"},
		{"due for long", view("2026-01-01T09:43:00Z", true, ""), "10:03:00 [10:00:00: 09:58:00 +3 -0 10:03:00: 10:03:00 +0 -0]"},
		{"running", view("2026-01-01T09:58:00Z", false, "x~1"), "10:03:00 [10:03:00: 10:03:00 +0 -0 10:08:00: 10:08:00 +0 -0]"},
		{"from far ahead", view("2026-01-01T08:03:00Z", false, ""), "10:03:00 [10:03:00: 10:03:00 +0 -0 10:08:00: 10:08:00 +0 -0]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, err := test.view.Preview(instant(t, "2026-01-01T10:00:00Z"), time.Minute, 2)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(p.Slots[0].Slot.Format(time.TimeOnly), " ", told(p)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if (p.Overdue != nil) != test.view.Due {
				t.Errorf("overdue is %v", p.Overdue)
			}
		})
	}
}

func TestPreviewRefusesWhatItCannotShow(t *testing.T) {
	t.Parallel()
	now := instant(t, "2026-01-01T10:00:00Z")
	for _, test := range []struct {
		flow  store.DataFlow
		beats time.Duration
		count int
		field string
	}{
		{store.DataFlow{}, 0, 0, "count"},
		{store.DataFlow{}, 0, 1001, "count"},
		{store.DataFlow{}, -time.Second, 1, "beats"},
		{store.DataFlow{}, time.Microsecond, 1, "beats"},
		{store.DataFlow{Cron: "x"}, 0, 1, "cron"},
	} {
		_, err := test.flow.Preview(now, test.beats, test.count)
		var field store.FieldError
		var invalid store.InvalidError
		if errors.As(err, &invalid) {
			field = invalid[0]
		} else if !errors.As(err, &field) {
			t.Errorf("got %v", err)
		}
		if field.Field != test.field {
			t.Errorf("got %v, want an error of %s", err, test.field)
		}
	}
}

func TestPreviewIsJSONInSnakeCaseWithoutNulls(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(preview(t, store.DataFlow{Name: "a", Group: "g"}, "2026-01-01T10:00:00Z", 0, 1))
	const want = `{"flow":"a","group":"g","from":"2026-01-01T10:00:00Z","slots":[],"warnings":["the flow is on demand: no heartbeat runs it, only a run-now does"]}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
}

func ExampleDataFlow_Preview() {
	flow := store.DataFlow{Name: "orders-sync", Cron: "*/20 2 * * *", Timezone: "Europe/Berlin"}
	from := time.Date(2026, time.March, 28, 0, 0, 0, 0, time.UTC)
	preview, err := flow.Preview(from, time.Hour, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, slot := range preview.Slots {
		fmt.Println(slot.Local)
	}
	for _, warning := range preview.Warnings {
		fmt.Println(warning)
	}
	// Output:
	// 2026-03-28T02:00:00+01:00
	// 2026-03-28T02:20:00+01:00
	// 2026-03-28T02:40:00+01:00
	// 2026-03-29T03:00:00+02:00
	// a heartbeat every 1h is slower than the flow, whose slots come as close as 20m: of the next 5 slots, 4 run and 1 are covered by the run of a later slot
}
