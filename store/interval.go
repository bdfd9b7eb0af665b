package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Interval is how close together a flow's slots come.
type Interval struct {
	Flow  string
	Every time.Duration // the shortest time between two of its slots
	Slack time.Duration // by which a heartbeat may be late without a slot being passed over
}

// slotsLooked is how many of the next slots of a cron schedule ShortestGap looks at.
const slotsLooked = 32

// ShortestGap is the shortest time between two of the slots that come next after an instant; for cron it looks at the next 32.
// ok is false for a schedule on demand, or one with fewer than two slots ahead.
func (s Schedule) ShortestGap(after time.Time) (shortest time.Duration, ok bool) {
	if s.every != 0 {
		return s.every, true
	}
	slot, more := s.nextCron(after)
	for range slotsLooked {
		if !more {
			break
		}
		var next time.Time
		if next, more = s.nextCron(slot); more && (!ok || next.Sub(slot) < shortest) {
			shortest, ok = next.Sub(slot), true
		}
		slot = next
	}
	return shortest, ok
}

// ShortestInterval finds the flow of a group whose slots come closest together, the first by name where there are several. Flows that
// are paused, or run only on demand, wait for no heartbeat and do not count, nor do those that a newer version wrote and this one
// cannot read; ok is false where there are no others. It reads every definition of the group, a page at a time, and nothing else of
// the flows: it is for those who look now and then, not on each beat.
func (s *Store) ShortestInterval(ctx context.Context, group string) (shortest Interval, ok bool, err error) {
	now, err := s.Now(ctx)
	if err != nil {
		return Interval{}, false, err
	}
	gaps := gapReader{now: now, known: make(map[timing]Interval)}
	for _, p := range s.Partitions(group) {
		err := s.eachScheduled(ctx, p, func(name string, t timing) {
			interval := gaps.of(t)
			interval.Flow = name
			if interval.Every != 0 && (!ok || interval.before(shortest)) {
				shortest, ok = interval, true
			}
		})
		if err != nil {
			return Interval{}, false, err
		}
	}
	return shortest, ok, nil
}

func (i Interval) before(other Interval) bool {
	return i.Every < other.Every || i.Every == other.Every && i.Flow < other.Flow
}

// timing is what of a definition says when it is due.
type timing struct {
	Every    Duration `json:"every"`
	Cron     string   `json:"cron"`
	Timezone string   `json:"timezone"`
}

// gapReader finds how close slots come, once for all flows of the same timing.
type gapReader struct {
	now   time.Time
	known map[timing]Interval
}

// of gives 0 for a timing that cannot be read, as for one that is never due.
func (g gapReader) of(t timing) Interval {
	if known, ok := g.known[t]; ok {
		return known
	}
	schedule, _ := DataFlow{Every: t.Every, Cron: t.Cron, Timezone: t.Timezone}.Schedule()
	gap, _ := schedule.ShortestGap(g.now)
	g.known[t] = Interval{Every: gap, Slack: schedule.slack()}
	return g.known[t]
}

// eachScheduled goes through the flows of a partition that are not paused, by name.
func (s *Store) eachScheduled(ctx context.Context, p Partition, visit func(name string, t timing)) error {
	for from := "-"; ; {
		names, err := s.redis.ZRangeByLex(ctx, s.key(p, "names"), &redis.ZRangeBy{Min: from, Max: "+", Count: maxPage}).Result()
		if err != nil || len(names) == 0 {
			return translate(err)
		}
		pipe := s.redis.Pipeline()
		defs := pipe.HMGet(ctx, s.key(p, "defs"), names...)
		states := pipe.HMGet(ctx, s.key(p, "state"), names...)
		if _, err := pipe.Exec(ctx); err != nil {
			return translate(err)
		}
		for i, name := range names {
			if defs.Val()[i] == nil || strings.Contains(text(states.Val()[i]), `"paused":`) { // as scripts look for it
				continue
			}
			var t timing
			if err := json.Unmarshal([]byte(text(defs.Val()[i])), &t); err != nil {
				continue
			}
			visit(name, t)
		}
		from = "(" + names[len(names)-1]
	}
}
