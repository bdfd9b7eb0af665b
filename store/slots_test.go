package store_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// randomCron is an expression with slots often enough for a walk to be cheap, in every shape that changes of clocks matter to.
func randomCron(random *rand.Rand) string {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	return strings.Join([]string{
		pick("*", "*/7", "0", "30", "0,15,59", "50-10/5", "17"),
		pick("*", "*", "*/2", "0-23", "0", "1-3", "2", "2,3", "22-2", "23", "0,1,2,4-23"),
		pick("*", "*", "*", "1-7", "25-31", "29", "*/3"), pick("*", "*", "*", "3,4,10,11"), pick("*", "*", "*", "0", "1-5"),
	}, " ")
}

// aroundAChange gives a random instant near a change of clocks in the zones of these tests, or anywhere in a year.
func aroundAChange(random *rand.Rand) time.Time {
	days := []string{"2026-03-08", "2026-03-29", "2026-04-05", "2026-04-24", "2026-10-04", "2026-10-25", "2026-11-01", "2040-12-31"}
	day, _ := time.Parse(time.DateOnly, days[random.IntN(len(days))])
	if random.IntN(4) == 0 {
		return day.Add(time.Duration(random.Int64N(int64(366 * 24 * time.Hour)))).UTC()
	}
	return day.Add(-24 * time.Hour).Add(time.Duration(random.IntN(3*24*4)) * 15 * time.Minute)
}

func TestCountLatestAndAfterGiveWhatAWalkOverTheSlotsGives(t *testing.T) {
	t.Parallel()
	for i, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Africa/Cairo", "America/Havana"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(7, uint64(i)))
			for range 400 {
				cron := randomCron(random)
				schedule := scheduleOf(t, store.DataFlow{Cron: cron, Timezone: zone})
				from, ok := schedule.First(aroundAChange(random))
				if !ok {
					t.Fatalf("%q has no slot", cron)
				}
				to := from.Add(time.Duration(random.Int64N(int64(5 * 24 * time.Hour))))
				if random.IntN(3) == 0 { // the end is a slot itself
					to, _ = schedule.First(to)
				}
				checkWalk(t, cron+" "+zone, schedule, from, to)
			}
		})
	}
}

// checkWalk compares with a walk from slot to slot by First, which gives the next of a cron schedule.
func checkWalk(t *testing.T, name string, schedule store.Schedule, from, to time.Time) {
	t.Helper()
	count, latest := 0, time.Time{}
	for at, ok := from, true; ok && !at.After(to); at, ok = schedule.First(at) {
		count, latest = count+1, at
	}
	if got := schedule.Count(from, to); got != count {
		t.Errorf("%s: %d slots from %s to %s, want %d", name, got, from, to, count)
	}
	if got, ok := schedule.Latest(to, from); !ok || got != latest {
		t.Errorf("%s: the latest slot at %s is %s (%t), want %s", name, to, got, ok, latest)
	}
	next, _ := schedule.First(latest)
	if got, ok := schedule.After(latest); !ok || got != next || !next.After(to) {
		t.Errorf("%s: after %s comes %s (%t), want %s", name, latest, got, ok, next)
	}
}

func TestCountLatestAndAfterOfEveryKeepToTheGrid(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(8, 9))
	for range 5000 {
		d := time.Duration(random.Int64N(int64(time.Hour/time.Millisecond))+100) * time.Millisecond
		schedule := every(t, d)
		anchor := time.UnixMilli(random.Int64N(1 << 41)).UTC()
		n := random.Int64N(1_000_000) - 500_000
		slot := anchor.Add(time.Duration(n) * d)
		at := slot.Add(time.Duration(random.Int64N(int64(d))))
		if got, ok := schedule.Latest(at, anchor); !ok || got != slot {
			t.Fatalf("every %s from %s: latest at %s is %s, want %s", d, anchor, at, got, slot)
		}
		if got := schedule.Count(anchor, at); got != max(0, int(n)+1) {
			t.Fatalf("every %s: %d slots from %s to %s, want %d", d, got, anchor, at, n+1)
		}
		if got, ok := schedule.After(slot); !ok || got != slot.Add(d) {
			t.Fatalf("every %s: after %s comes %s", d, slot, got)
		}
	}
}

func TestCountTakesSlotsThatAreOneForOne(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, cron, zone, from, to string
		want                       int
	}{
		{"three in the hour that is left out", "*/20 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", 1},
		{"and one at its end", "0 2,3 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", 1},
		{"the hour that comes twice, once", "*/20 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T12:00:00Z", 3},
		{"of every hour, twice", "*/20 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T01:59:00Z", 6},
		{"nothing before from", "* * * * *", "UTC", "2026-01-01T00:00:00Z", "2025-12-31T23:59:00Z", 0},
		{"a year of minutes", "* * * * *", "Australia/Lord_Howe", "2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z", 365 * 24 * 60},
		{"a year of wall minutes, but for the first hour and one in spring", "* 0-22 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-12-31T22:59:59Z", 365*23*60 - 60 - 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			schedule := scheduleOf(t, store.DataFlow{Cron: test.cron, Timezone: test.zone})
			if got := schedule.Count(instant(t, test.from), instant(t, test.to)); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestAScheduleOnDemandHasNoSlotsToCount(t *testing.T) {
	t.Parallel()
	onDemand, now := scheduleOf(t, store.DataFlow{}), instant(t, "2026-01-01T00:00:00Z")
	_, latest := onDemand.Latest(now, now)
	_, after := onDemand.After(now)
	if n := onDemand.Count(now, now.Add(time.Hour)); n != 0 || latest || after {
		t.Errorf("%d slots, latest %t, after %t", n, latest, after)
	}
}

func BenchmarkCountOverAYear(b *testing.B) {
	from := instant(b, "2026-01-01T00:00:00Z")
	for _, cron := range []string{"* * * * *", "* 0-22 * * *", "0 0 29 2 *"} {
		schedule := scheduleOf(b, store.DataFlow{Cron: cron, Timezone: "Europe/Berlin"})
		b.Run(fmt.Sprint("Count ", cron), func(b *testing.B) {
			for b.Loop() {
				schedule.Count(from, from.AddDate(1, 0, 0))
			}
		})
		b.Run(fmt.Sprint("Latest ", cron), func(b *testing.B) {
			for b.Loop() {
				schedule.Latest(from, from)
			}
		})
	}
}
