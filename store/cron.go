package store

import (
	"strings"
	"sync"
	"time"

	"github.com/netresearch/go-cron"
)

// cronParser reads crontab(5) syntax: five fields, with the day of month and the day of week joined by OR where both
// are given, and descriptors such as @hourly.
var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom | cron.Descriptor).
	WithMaxSearchYears(longestGap)

// longestGap is how many years may lie between two slots: from a 29th of February over a century without one to the next.
const longestGap = 8

// everyHour has the bit of each hour set, as the parser does for *.
const everyHour = 1<<24 - 1

const cronAllowed = `five fields (minute hour day month weekday) such as "*/5 * * * *", or @hourly, @daily, @weekly, @monthly, @yearly`

// parseCron reads a cron expression and the zone of its clock, or names everything that is wrong with them.
func parseCron(spec, timezone string) (Schedule, InvalidError) {
	if timezone == "" {
		timezone = "UTC"
	}
	zone, err := time.LoadLocation(timezone)
	if err != nil || timezone == "Local" {
		_, wrong := parseCron(spec, "UTC")
		return Schedule{}, append(wrong, FieldError{Field: "timezone", Found: quoted(timezone), Allowed: "an IANA time zone such as Europe/Berlin"})
	}
	// A zone inside the expression, or @every, would be a second way to say what timezone and every say.
	if strings.Contains(spec, "TZ=") || strings.HasPrefix(spec, "@every") {
		return Schedule{}, InvalidError{{Field: "cron", Found: quoted(spec), Allowed: cronAllowed}}
	}
	parsed, err := cronParser.Parse(spec)
	fields, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return Schedule{}, wrongCron(spec)
	}
	schedule := Schedule{cron: fields, hourly: fields.Hour&everyHour == everyHour, zone: zone}
	fields.Location = time.UTC // the parser bakes in the local zone; a clock on the wall is reckoned as if it were UTC
	if _, ok := schedule.nextCron(time.Now()); !ok {
		return Schedule{}, InvalidError{{Field: "cron", Found: quoted(spec) + ", which no date meets", Allowed: cronAllowed}}
	}
	return schedule, nil
}

// Bounds of what is remembered of parsing: as many expressions, and for as long, as a zone's rules may have changed on disk
// unnoticed.
const (
	mostParsed    = 4096
	longestParsed = time.Hour
)

// parsedCrons spares parsing what is parsed at each claim and each end of a run.
var parsedCrons cronCache

// cronCache remembers expressions that were parsed. It is for use by several goroutines.
type cronCache struct {
	mu    sync.Mutex
	known map[cronKey]Schedule
	since time.Time // when it was emptied the last time
}

type cronKey struct{ spec, timezone string }

// of parses the expression, unless it is known.
func (c *cronCache) of(spec, timezone string) (Schedule, error) {
	key := cronKey{spec, timezone}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.known[key]; ok && time.Since(c.since) < longestParsed {
		return known, nil
	}
	schedule, invalid := parseCron(spec, timezone)
	if invalid != nil {
		return schedule, invalid
	}
	if len(c.known) >= mostParsed || time.Since(c.since) >= longestParsed {
		c.known, c.since = make(map[cronKey]Schedule), time.Now()
	}
	c.known[key] = schedule
	return schedule, nil
}
