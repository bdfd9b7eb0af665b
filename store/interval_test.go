package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func TestShortestGapIsThatOfTheClosestSlotsAhead(t *testing.T) {
	t.Parallel()
	from := instant(t, "2026-03-27T12:00:00Z")
	for _, test := range []struct {
		flow store.DataFlow
		want time.Duration // 0: none
	}{
		{store.DataFlow{Every: store.Duration(90 * time.Second)}, 90 * time.Second},
		{store.DataFlow{Cron: "* * * * *"}, time.Minute},
		{store.DataFlow{Cron: "0,10 8 * * *"}, 10 * time.Minute},
		{store.DataFlow{Cron: "0 7 * * 1-5"}, 24 * time.Hour},
		{store.DataFlow{Cron: "0 3 * * *", Timezone: "Europe/Berlin"}, 23 * time.Hour}, // the clocks go forward in the night
		{store.DataFlow{}, 0},
	} {
		got, ok := scheduleOf(t, test.flow).ShortestGap(from)
		if got != test.want || ok != (test.want != 0) {
			t.Errorf("every %s cron %q %s: %s (%t), want %s", test.flow.Every, test.flow.Cron, test.flow.Timezone, got, ok, test.want)
		}
	}
}

func TestTheShortestIntervalOfAGroupIsFoundOverAllPagesAndPartitions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{Partitions: 2})
	f.shortest("", 0, 0)
	f.put(store.DataFlow{Name: "demand", Function: &store.FunctionSpec{Name: "f"}})
	f.shortest("", 0, 0) // waits for no heartbeat

	const flows = 2500 // more than two pages for each partition
	batch := make([]store.DataFlow, flows)
	for i := range batch {
		batch[i] = store.DataFlow{Name: fmt.Sprintf("flow-%04d", i), Every: store.Duration(time.Hour), Function: &store.FunctionSpec{Name: "f"}}
	}
	batch[1777].Every, batch[1777].Cron = 0, "*/15 * * * *"
	batch[2222].Every = store.Duration(5 * time.Second)
	batch[2333].Every = store.Duration(5 * time.Second)
	if _, err := f.PutFlows(f.ctx, "", batch); err != nil {
		t.Fatal(err)
	}
	f.shortest("flow-2222", 5*time.Second, 500*time.Millisecond)

	for _, name := range []string{"flow-2222", "flow-2333"} {
		if err := f.PauseFlow(f.ctx, "default", name, ""); err != nil {
			t.Fatal(err)
		}
	}
	f.shortest("flow-1777", 15*time.Minute, time.Second)
	if err := f.ResumeFlow(f.ctx, "default", "flow-2333"); err != nil {
		t.Fatal(err)
	}
	f.shortest("flow-2333", 5*time.Second, 500*time.Millisecond)
}

// shortest expects this interval of the default group, or none.
func (f *fixture) shortest(flow string, every, slack time.Duration) {
	f.Helper()
	got, ok, err := f.ShortestInterval(f.ctx, "default")
	if want := (store.Interval{Flow: flow, Every: every, Slack: slack}); err != nil || got != want || ok != (flow != "") {
		f.Errorf("shortest interval %+v (%t), %v, want %+v", got, ok, err, want)
	}
}

// One flow that a newer version wrote does not keep its group, nor all others, from being watched.
func TestAFlowThatCannotBeReadHasNoInterval(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("b", everyMinute))
	for _, schedule := range []string{`"cron":"of a newer version"`, `"every":["of a newer version"]`} {
		f.makeUnreadable("a", schedule)
		f.shortest("b", time.Minute, time.Second)
	}
}
