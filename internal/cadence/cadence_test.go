package cadence_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/cadence"
	"github.com/systole-run/systole/store"
)

func TestWarningsSayWhatDoesNotFitAndWhatToDo(t *testing.T) {
	t.Parallel()
	every := func(d time.Duration) *store.Interval {
		return &store.Interval{Flow: "sync", Every: d, Slack: min(d/10, time.Second)}
	}
	for _, test := range []struct {
		name     string
		age, gap time.Duration // age -1: never a heartbeat
		interval *store.Interval
		want     []string // kinds
		text     string   // of the first warning
	}{
		{"nothing waits for heartbeats, and none comes", -1, 0, nil, nil, ""},
		{"nothing waits for heartbeats, and they stopped", time.Hour, time.Minute, nil, nil, ""},
		{"no heartbeat ever", -1, 0, every(time.Minute), []string{cadence.Never}, "group g has 7 flows and has never had a heartbeat: nothing runs until something sends one"},
		{"the first heartbeats", time.Hour, 0, every(time.Minute), nil, ""},
		{"a few by hand, long ago", 25 * time.Hour, 0, every(time.Minute), []string{cadence.Stopped}, "group g had its last heartbeat 25h ago: has its scheduler stopped"},
		{"as frequent as the flow", time.Minute, time.Minute, every(time.Minute), nil, ""},
		{"late within the slack", time.Minute, 61 * time.Second, every(time.Minute), nil, ""},
		{"slower than the flow", time.Minute, 2*time.Minute + 3*time.Second, every(time.Minute), []string{cadence.Slow}, "group g has a heartbeat every 2m3s, but its flow sync is due every 1m: slots in between are missed, or covered by the run of a later one; send heartbeats at least every 1m"},
		{"a little slower than the flow", time.Minute, 61*time.Second + time.Millisecond, every(time.Minute), []string{cadence.Slow}, ""},
		{"three gaps without one", 3 * time.Minute, time.Minute, every(time.Hour), nil, ""},
		{"more than three", 3*time.Minute + 1, time.Minute, every(time.Hour), []string{cadence.Stopped}, "group g had its last heartbeat 3m ago, and one came every 1m before: has its scheduler stopped, or can it no longer reach the gateway?"},
		{"a pause of a fast clock", 5 * time.Second, time.Second, every(time.Second), nil, ""},
		{"stopped, and was too slow", time.Hour, 10 * time.Minute, every(time.Minute), []string{cadence.Stopped, cadence.Slow}, ""},
		{"far quicker than the flow", 0, 500 * time.Millisecond, every(time.Hour), []string{cadence.Fast}, "group g has a heartbeat every 500ms, but its most frequent flow, sync, is due only every 1h: nearly all of them find nothing due; one every 1m is enough"},
		{"far quicker than a frequent flow", 0, time.Second, every(21 * time.Second), []string{cadence.Fast}, "one every 21s is enough"},
		{"quicker than the flow", 0, time.Second, every(20 * time.Second), nil, ""},
		{"each minute, for a flow each day", 0, time.Minute, every(24 * time.Hour), nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := cadence.Cadence{Group: "g", Flows: 7, Age: &test.age, UsualGap: test.gap, Interval: test.interval}
			if test.age < 0 {
				c.Age = nil
			}
			var kinds []string
			for _, warning := range c.Warnings() {
				kinds = append(kinds, warning.Kind)
			}
			if !slices.Equal(kinds, test.want) {
				t.Fatalf("warnings %v, want %v", c.Warnings(), test.want)
			}
			if test.text != "" && !strings.Contains(c.Warnings()[0].Text, test.text) {
				t.Errorf("said %q, want %q", c.Warnings()[0].Text, test.text)
			}
		})
	}
}

func TestTheUsualGapIsTheHabitOfTheLastTwenty(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		gaps []time.Duration
		want time.Duration
	}{
		{"two gaps are no habit", []time.Duration{time.Minute, time.Minute}, 0},
		{"three are", slices.Repeat([]time.Duration{time.Minute}, 3), time.Minute},
		{"two outages among twenty are forgotten", slices.Concat([]time.Duration{9 * time.Hour, 9 * time.Hour}, slices.Repeat([]time.Duration{time.Minute}, 18)), time.Minute},
		{"three are not", slices.Concat(slices.Repeat([]time.Duration{9 * time.Hour}, 3), slices.Repeat([]time.Duration{time.Minute}, 17)), 9 * time.Hour},
		{"a clock that was put right is soon forgotten", slices.Concat(slices.Repeat([]time.Duration{time.Hour}, 50), slices.Repeat([]time.Duration{time.Minute}, 18)), time.Minute},
		{"of two schedulers, the longer gap", slices.Repeat([]time.Duration{5 * time.Second, 55 * time.Second}, 10), 55 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.put("sync", time.Hour)
			f.beat()
			for _, gap := range test.gaps {
				f.pass(gap)
				f.beat()
			}
			f.pass(7 * time.Second)
			c := f.look()
			if c.UsualGap != test.want || c.Age == nil || *c.Age != 7*time.Second {
				t.Errorf("usual gap %s and age %v, want %s and 7s", c.UsualGap, c.Age, test.want)
			}
			if !strings.HasPrefix(c.String(), "last heartbeat 7s ago") || !strings.HasSuffix(c.String(), "; the most frequent flow, sync, is due every 1h") {
				t.Errorf("it says %q", c)
			}
		})
	}
}
