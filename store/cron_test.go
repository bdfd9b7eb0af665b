package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// slots are the slots of a cron expression from one instant to another, in RFC 3339 in the schedule's zone.
func slots(t testing.TB, cron, zone, from, to string) []string {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	schedule := scheduleOf(t, store.DataFlow{Cron: cron, Timezone: zone})
	var all []string
	at, end := instant(t, from), instant(t, to)
	for {
		next, ok := schedule.First(at)
		if !ok || next.After(end) {
			return all
		}
		if !next.After(at) {
			t.Fatalf("%s after %s is not after it", next, at)
		}
		all = append(all, next.In(location).Format(time.RFC3339))
		at = next
	}
}

func TestCronSlots(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, cron, zone, from, to, want string }{
		{
			"are read in the flow's time zone", "30 9 * * *", "Asia/Kolkata",
			"2026-01-01T00:00:00Z", "2026-01-02T23:00:00Z",
			"2026-01-01T09:30:00+05:30 2026-01-02T09:30:00+05:30",
		},
		{
			"are read in a zone behind UTC", "0 22 * * *", "America/New_York",
			"2026-01-01T04:00:00Z", "2026-01-02T12:00:00Z",
			"2026-01-01T22:00:00-05:00",
		},
		{
			"join the day of month and the day of week by OR", "0 0 13 * 5", "UTC",
			"2026-02-10T00:00:00Z", "2026-02-21T00:00:00Z",
			"2026-02-13T00:00:00Z 2026-02-20T00:00:00Z",
		},
		{
			"take the day of month alone where the day of week is *", "0 0 13 * *", "UTC",
			"2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z",
			"2026-02-13T00:00:00Z 2026-03-13T00:00:00Z",
		},
		{
			"take the 29th of February over a century that has none", "0 0 29 2 *", "UTC",
			"2096-03-01T00:00:00Z", "2104-03-01T00:00:00Z",
			"2104-02-29T00:00:00Z",
		},
		{
			"in the hour that is left out in spring run once, when the clocks are put forward", "30 2 * * *", "Europe/Berlin",
			"2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			"2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00",
		},
		{
			"several of them in that hour are one run", "*/20 2 * * *", "Europe/Berlin",
			"2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z",
			"2026-03-29T03:00:00+02:00",
		},
		{
			"one at the end of that hour runs once too", "0 2,3 * * *", "Europe/Berlin",
			"2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z",
			"2026-03-29T03:00:00+02:00",
		},
		{
			"where midnight is left out run when the day begins", "0 0 * * *", "America/Santiago",
			"2026-09-05T12:00:00Z", "2026-09-07T12:00:00Z",
			"2026-09-06T01:00:00-03:00 2026-09-07T00:00:00-03:00",
		},
		{
			"in the hour that comes twice in autumn run the first time", "30 2 * * *", "Europe/Berlin",
			"2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z",
			"2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00",
		},
		{
			"of every hour run in both of them", "30 * * * *", "Europe/Berlin",
			"2026-10-24T23:45:00Z", "2026-10-25T02:45:00Z",
			"2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-10-25T03:30:00+01:00",
		},
		{
			"of every hour go by elapsed time in spring", "30 * * * *", "Europe/Berlin",
			"2026-03-28T23:45:00Z", "2026-03-29T02:45:00Z",
			"2026-03-29T01:30:00+01:00 2026-03-29T03:30:00+02:00 2026-03-29T04:30:00+02:00",
		},
		{
			"of @hourly are those of every hour", "@hourly", "Europe/Berlin",
			"2026-10-24T23:45:00Z", "2026-10-25T02:15:00Z",
			"2026-10-25T02:00:00+02:00 2026-10-25T02:00:00+01:00 2026-10-25T03:00:00+01:00",
		},
		{
			"of every hour of a day whose midnight is left out", "0 */1 * * 5", "Africa/Cairo",
			"2026-04-23T12:00:00Z", "2026-04-24T00:30:00Z",
			"2026-04-24T01:00:00+03:00 2026-04-24T02:00:00+03:00 2026-04-24T03:00:00+03:00",
		},
		{
			"of the last day of a leap year far ahead", "0 12 31 12 *", "Europe/Berlin",
			"2040-07-01T00:00:00Z", "2042-01-01T00:00:00Z",
			"2040-12-31T12:00:00+01:00 2041-12-31T12:00:00+01:00",
		},
		{
			"where clocks are put forward by half an hour", "15 2 * * *", "Australia/Lord_Howe",
			"2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z",
			"2026-10-04T02:30:00+11:00",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(slots(t, test.cron, test.zone, test.from, test.to), " "); got != test.want {
				t.Errorf("%s in %s:\n got %s\nwant %s", test.cron, test.zone, got, test.want)
			}
		})
	}
}

// Every minute of three days around each change of clocks is looked at, and told from the clock on the wall alone.
func TestCronSlotsAreThoseThatAClockOnTheWallShows(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana", "Asia/Beirut"} {
		for _, from := range []string{"2026-03-07", "2026-03-28", "2026-04-04", "2026-09-05", "2026-10-03", "2026-10-24", "2026-10-31", "2026-11-01"} {
			for cron, shows := range map[string]func(time.Time) bool{
				"*/15 * * * *": func(at time.Time) bool { return at.Minute()%15 == 0 },
				"5 * * * 0":    func(at time.Time) bool { return at.Minute() == 5 && at.Weekday() == time.Sunday },
			} {
				t.Run(zone+" "+from+" "+cron, func(t *testing.T) {
					t.Parallel()
					location, err := time.LoadLocation(zone)
					if err != nil {
						t.Fatal(err)
					}
					var want []string
					start := instant(t, from+"T00:00:00Z")
					end := start.Add(72 * time.Hour)
					for at := start.Add(time.Minute); !at.After(end); at = at.Add(time.Minute) {
						if shows(at.In(location)) {
							want = append(want, at.In(location).Format(time.RFC3339))
						}
					}
					got := slots(t, cron, zone, start.Format(time.RFC3339), end.Format(time.RFC3339))
					if !slices.Equal(got, want) {
						t.Errorf("got %v\nwant %v", got, want)
					}
				})
			}
		}
	}
}

func TestCronRefusesWhatIsNoScheduleAndSaysWhatIs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ cron, zone, field string }{
		{"0 0 30 2 *", "UTC", "cron"},  // no such date
		{"0 0 31 4 *", "UTC", "cron"},  // nor this
		{"* * * *", "UTC", "cron"},     // a field is missing
		{"* * * * * *", "UTC", "cron"}, // seconds
		{"60 * * * *", "UTC", "cron"},
		{"* 24 * * *", "UTC", "cron"},
		{"* * * * 8", "UTC", "cron"},
		{"*/0 * * * *", "UTC", "cron"},
		{"H * * * *", "UTC", "cron"},
		{"* * L * *", "UTC", "cron"},
		{"@every 5m", "UTC", "cron"},
		{"@reboot", "UTC", "cron"},
		{"CRON_TZ=UTC * * * * *", "UTC", "cron"},
		{"nonsense", "UTC", "cron"},
		{"* * * * *", "Local", "timezone"},
		{"* * * * *", "Mars/Olympus", "timezone"},
		{"* * * * *", "../../etc/passwd", "timezone"},
	} {
		t.Run(test.cron+" in "+test.zone, func(t *testing.T) {
			t.Parallel()
			_, err := store.DataFlow{Cron: test.cron, Timezone: test.zone}.Schedule()
			var invalid store.InvalidError
			if !errors.As(err, &invalid) || len(invalid) != 1 || invalid[0].Field != test.field || invalid[0].Allowed == "" {
				t.Errorf("got %v, want one error of %s", err, test.field)
			}
		})
	}
}

func TestABadZoneDoesNotHideABadCron(t *testing.T) {
	t.Parallel()
	_, err := store.DataFlow{Cron: "61 * * * *", Timezone: "Mars/Olympus"}.Schedule()
	var invalid store.InvalidError
	if !errors.As(err, &invalid) || len(invalid) != 2 || invalid[0].Field != "cron" || invalid[1].Field != "timezone" {
		t.Errorf("got %v, want an error of each", err)
	}
}

func TestCronNamesEachWrongFieldWithItsPlaceAndAnExample(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cron  string
		found []string
	}{
		{"61 * * * *", []string{`field 1 (minute) "61"`}},
		{"0 25 * * *", []string{`field 2 (hour) "25"`}},
		{"0 0 L * *", []string{`field 3 (day of month) "L"`}},
		{"0 0 1 Xmas *", []string{`field 4 (month) "Xmas"`}},
		{"0 0 * * MON#2", []string{`field 5 (day of week) "MON#2"`}},
		{"*/0 1-2-3 0 13 8", []string{
			`field 1 (minute) "*/0"`, `field 2 (hour) "1-2-3"`, `field 3 (day of month) "0"`, `field 4 (month) "13"`, `field 5 (day of week) "8"`,
		}},
		{"* * * *", []string{`"* * * *", of 4 fields`}},
		{"@often", []string{`"@often"`}},
		{strings.Repeat("1,", 600) + "1 * * * *", []string{`"` + strings.Repeat("1,", 40) + `…"`}},
	} {
		t.Run(test.cron[:min(len(test.cron), 20)], func(t *testing.T) {
			t.Parallel()
			var invalid store.InvalidError
			if _, err := (store.DataFlow{Cron: test.cron}).Schedule(); !errors.As(err, &invalid) || len(invalid) != len(test.found) {
				t.Fatalf("got %v, want %d errors", err, len(test.found))
			}
			for i, field := range invalid {
				if field.Field != "cron" || field.Found != test.found[i] {
					t.Errorf("found %s, want %s", field.Found, test.found[i])
				}
				_, rest, _ := strings.Cut(field.Allowed, `such as "`)
				example, _, _ := strings.Cut(rest, `"`)
				if _, err := (store.DataFlow{Cron: example}).Schedule(); example == "" || err != nil {
					t.Errorf("%s: the example %q is not valid: %v", field.Allowed, example, err)
				}
			}
		})
	}
}

func FuzzCronGivesSlotsInOrderOrAnError(f *testing.F) {
	for _, seed := range []string{"*/5 * * * *", "0 0 29 2 *", "@daily", "1-5/2,7 0 1,31 JAN-MAR MON", "0 0 30 2 *", "* * * * * *", "5-1 23-2 * * *"} {
		f.Add(seed, int64(1_774_742_400))
	}
	f.Fuzz(func(t *testing.T, cron string, unix int64) {
		schedule, err := store.DataFlow{Cron: cron, Timezone: "Europe/Berlin"}.Schedule()
		if err != nil || cron == "" {
			return
		}
		at := time.Unix(unix%(1<<33), 0).UTC()
		for range 5 {
			next, ok := schedule.First(at)
			if !ok {
				return
			}
			if !next.After(at) {
				t.Fatalf("%q: %s after %s", cron, next, at)
			}
			at = next
		}
	})
}
