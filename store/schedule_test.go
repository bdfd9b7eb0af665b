package store_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func every(t testing.TB, d time.Duration) store.Schedule {
	t.Helper()
	return scheduleOf(t, store.DataFlow{Every: store.Duration(d)})
}

func scheduleOf(t testing.TB, flow store.DataFlow) store.Schedule {
	t.Helper()
	schedule, err := flow.Schedule()
	if err != nil {
		t.Fatal(err)
	}
	return schedule
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func TestNextKeepsToTheGridAndPassesOverWhatIsPast(t *testing.T) {
	t.Parallel()
	slot := instant(t, "2026-01-01T00:00:00Z")
	for _, test := range []struct {
		name        string
		every, asOf time.Duration // asOf since the slot
		want        time.Duration // since the slot
	}{
		{"a beat on time", time.Minute, 0, time.Minute},
		{"a beat early within the slack", time.Minute, -time.Second, time.Minute},
		{"a beat late by half a period", time.Minute, 30 * time.Second, time.Minute},
		{"the next slot has just come due: it is not passed over", time.Minute, 60 * time.Second, time.Minute},
		{"the next slot came due longer ago than the slack: this occurrence covers it", time.Minute, 61 * time.Second, 2 * time.Minute},
		{"an outage of an hour is one run", time.Minute, time.Hour + 10*time.Second, time.Hour + time.Minute},
		{"an outage of years takes no longer to compute", 100 * time.Millisecond, 50 * 365 * 24 * time.Hour, 50 * 365 * 24 * time.Hour},
		{"the slack is a tenth of a short period", time.Second, 1099 * time.Millisecond, time.Second},
		{"and no more", time.Second, 1100 * time.Millisecond, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			next, ok := every(t, test.every).Next(slot, slot.Add(test.asOf))
			if got := next.Sub(slot); !ok || got != test.want {
				t.Errorf("next is %s after the slot, want %s", got, test.want)
			}
		})
	}
}

func TestDueAtIsEarlierThanTheSlotByTheSlack(t *testing.T) {
	t.Parallel()
	slot := instant(t, "2026-01-01T00:00:00Z")
	for _, test := range []struct {
		flow  store.DataFlow
		slack time.Duration
	}{
		{store.DataFlow{Every: store.Duration(100 * time.Millisecond)}, 10 * time.Millisecond},
		{store.DataFlow{Every: store.Duration(5 * time.Second)}, 500 * time.Millisecond},
		{store.DataFlow{Every: store.Duration(time.Hour)}, time.Second},
		{store.DataFlow{Every: store.Duration(105 * time.Millisecond)}, 10 * time.Millisecond}, // whole ms
		{store.DataFlow{Cron: "* * * * *"}, time.Second},
		{store.DataFlow{}, 0},
	} {
		if got := slot.Sub(scheduleOf(t, test.flow).DueAt(slot)); got != test.slack {
			t.Errorf("every %s cron %q: slack %s, want %s", test.flow.Every, test.flow.Cron, got, test.slack)
		}
	}
}

func TestDueToRunComparesWholeMilliseconds(t *testing.T) { // R3.2
	t.Parallel()
	dueAt := instant(t, "2026-01-01T00:00:00.005Z")
	for asOf, want := range map[string]bool{
		"2026-01-01T00:00:00.004999Z": false, "2026-01-01T00:00:00.005Z": true, "2026-01-01T00:00:00.006Z": true,
	} {
		if got := store.DueToRun(dueAt, instant(t, asOf)); got != want {
			t.Errorf("due as of %s: %v", asOf, got)
		}
	}
}

func TestFirstIsAtOnceForEveryAndTheNextNamedTimeForCron(t *testing.T) {
	t.Parallel()
	now := instant(t, "2026-01-01T10:20:30.123456Z")
	if slot, ok := every(t, time.Hour).First(now); !ok || !slot.Equal(now.Truncate(time.Millisecond)) {
		t.Errorf("every: %s, %v", slot, ok)
	}
	if slot, ok := scheduleOf(t, store.DataFlow{Cron: "0 * * * *"}).First(now); !ok || slot != instant(t, "2026-01-01T11:00:00Z") {
		t.Errorf("cron: %s, %v", slot, ok)
	}
	onDemand := scheduleOf(t, store.DataFlow{})
	if slot, ok := onDemand.First(now); ok || !onDemand.OnDemand() {
		t.Errorf("on demand: %s, %v", slot, ok)
	}
}

// simulate runs one flow by the model's arithmetic alone: a beat runs what is due as of it, for as long as it is due.
func simulate(schedule store.Schedule, slot, dueAt time.Time, beats []time.Time) (runs []int) {
	runs = make([]int, len(beats))
	for i, asOf := range beats {
		for store.DueToRun(dueAt, asOf) {
			runs[i]++
			slot, _ = schedule.Next(slot, asOf)
			dueAt = schedule.DueAfter(slot, asOf)
		}
	}
	return runs
}

// jittered are the beats of a clock that beats each minute for a day, up to 800 ms early or late.
func jittered(from time.Time, random *rand.Rand) []time.Time {
	beats := make([]time.Time, 24*60)
	for i := range beats {
		beats[i] = from.Add(time.Duration(i)*time.Minute + time.Duration(random.IntN(1601)-800)*time.Millisecond)
	}
	return beats
}

// A beat's as-of time, not the moment at which its occurrences are claimed, decides on the next slot. So all of this holds
// in the same way for a beat that comes while an earlier one still drains.
func TestAMinuteFlowUnderAMinuteBeatRunsOncePerBeatWhateverTheJitter(t *testing.T) { // R3.2
	t.Parallel()
	start := instant(t, "2026-01-01T00:00:00Z")
	random := rand.New(rand.NewPCG(1, 2))
	minute := every(t, time.Minute)
	for i, got := range simulate(minute, start, minute.DueAt(start), jittered(start, random)) {
		if got != 1 {
			t.Fatalf("beat %d: %d runs, want 1", i, got)
		}
	}
}

// A flow may be put at any moment, so its slots may fall just where the beats do. It may miss one beat while it settles on
// which side of them it stays, and no more.
func TestAMinuteFlowThatWasPutAtAnyMomentKeepsUpWithAMinuteBeat(t *testing.T) {
	t.Parallel()
	start := instant(t, "2026-01-01T00:00:00Z")
	random := rand.New(rand.NewPCG(3, 4))
	minute := every(t, time.Minute)
	for phase := time.Duration(0); phase < time.Minute; phase += 100 * time.Millisecond {
		put := start.Add(phase - time.Minute - time.Second) // before the first beat
		missed := 0
		for i, got := range simulate(minute, put, put, jittered(start, random)) {
			if got > 1 {
				t.Fatalf("put at %s: beat %d runs it %d times", phase, i, got)
			}
			missed += 1 - got
		}
		if missed > 1 {
			t.Errorf("put at %s: %d of 1440 beats did not run it", phase, missed)
		}
	}
}

func TestNextNeverStaysBehindWhateverTheBeats(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for range 20000 {
		d := time.Duration(random.Int64N(int64(48*time.Hour)/1e6)+100) * time.Millisecond
		schedule := every(t, d)
		slot := time.UnixMilli(random.Int64N(1 << 42)).UTC()
		asOf := slot.Add(time.Duration(random.Int64N(int64(1000 * time.Hour))))
		next, ok := schedule.Next(slot, asOf)
		if !ok || !next.After(slot) || next.Sub(slot)%d != 0 || next.Sub(asOf) > d || store.DueToRun(schedule.DueAfter(next, asOf), asOf) {
			t.Fatalf("every %s, slot %s as of %s: next %s", d, slot, asOf, next)
		}
	}
}
