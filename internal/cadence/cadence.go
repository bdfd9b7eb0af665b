// Package cadence holds the heartbeats of a group against what its flows need, and says where they do not fit: none ever came, they
// stopped, they come too seldom for a flow, or far more often than any flow is due.
//
// It only looks, and only now and then: a look reads the last beats of a group and the schedules of its flows. Nothing here
// sends a heartbeat or runs anything, and what it says changes nothing.
package cadence

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/systole-run/systole/store"
)

// Store is what a look needs of package store.
type Store interface {
	Status(ctx context.Context) ([]store.GroupStatus, error)
	Beats(ctx context.Context, group string, limit int, after string) (beats []store.BeatView, next string, err error)
	ShortestInterval(ctx context.Context, group string) (shortest store.Interval, ok bool, err error)
}

// What a judgement goes by.
const (
	gapsLooked   = 20               // the newest gaps between beats: what has been put right is soon forgotten
	fewestGaps   = 3                // with fewer there is no usual gap
	longest      = 10               // percent of the gaps that may be longer than the usual one: outages, and the pauses of redundant schedulers
	stopped      = 3                // usual gaps without a beat
	stoppedLeast = 5 * time.Second  // and at least this long
	stoppedMost  = 24 * time.Hour   // where there is no usual gap
	fast         = 20               // beats for each slot of the most frequent flow
	fastMost     = 10 * time.Second // a clock that is no faster than this does no harm: crontabs have minutes
)

// Cadence is how a group's heartbeats come, and how often its flows need one.
type Cadence struct {
	Group string
	Flows int
	// Age is how long ago the last heartbeat was; nil if there never was one.
	Age *time.Duration
	// UsualGap is the gap between two heartbeats that nine of ten of the last 20 do not exceed; 0 where there were too few to tell.
	// Of redundant schedulers it is the longer gap.
	UsualGap time.Duration
	// Interval is that of the most frequent flow; nil where no flow waits for heartbeats.
	Interval *store.Interval
}

// Look reads how things stand in a group, of which its status tells the rest.
func Look(ctx context.Context, st Store, status store.GroupStatus) (Cadence, error) {
	interval, ok, err := st.ShortestInterval(ctx, status.Group)
	if err != nil {
		return Cadence{}, fmt.Errorf("read schedules of group %s: %w", status.Group, err)
	}
	if !ok {
		return look(ctx, st, status, nil)
	}
	return look(ctx, st, status, &interval)
}

// look does so where the interval is known already.
func look(ctx context.Context, st Store, status store.GroupStatus, interval *store.Interval) (Cadence, error) {
	c := Cadence{Group: status.Group, Flows: status.Flows, Interval: interval}
	if status.LastBeatAt == nil {
		return c, nil
	}
	age := max(status.At.Sub(*status.LastBeatAt), 0)
	beats, _, err := st.Beats(ctx, status.Group, gapsLooked+1, "")
	if err != nil {
		return Cadence{}, fmt.Errorf("read beats of group %s: %w", status.Group, err)
	}
	c.Age, c.UsualGap = &age, usualGap(beats)
	return c, nil
}

// String says how heartbeats come where nothing is wrong with them.
func (c Cadence) String() string {
	if c.Age == nil {
		return "no heartbeat yet, and no flow that waits for one"
	}
	text := fmt.Sprintf("last heartbeat %s ago", shown(*c.Age))
	if c.UsualGap != 0 {
		text += fmt.Sprintf(", one every %s", shown(c.UsualGap))
	}
	if c.Interval != nil {
		text += fmt.Sprintf("; the most frequent flow, %s, is due every %s", c.Interval.Flow, shown(c.Interval.Every))
	}
	return text
}

// usualGap takes beats, the newest first.
func usualGap(beats []store.BeatView) time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(beats); i++ {
		gaps = append(gaps, beats[i-1].AsOf.Sub(beats[i].AsOf))
	}
	if len(gaps) < fewestGaps {
		return 0
	}
	slices.Sort(gaps)
	return gaps[len(gaps)-1-len(gaps)*longest/100]
}

// Kinds of warnings.
const (
	Never   = "never"   // no heartbeat ever came
	Stopped = "stopped" // none came for several of the usual gaps
	Slow    = "slow"    // they come more seldom than a flow is due
	Fast    = "fast"    // they come far more often than any flow is due
)

// Kinds are all of them.
var Kinds = []string{Never, Stopped, Slow, Fast}

// Warning is one thing that does not fit: what was found, and what to do.
type Warning struct {
	Kind string
	Text string
}

// Warnings says what does not fit. A group in which no flow waits for heartbeats has no warnings.
func (c Cadence) Warnings() []Warning {
	if c.Interval == nil {
		return nil
	}
	if c.Age == nil {
		return []Warning{{Never, fmt.Sprintf("group %s has %d flows and has never had a heartbeat: nothing runs until something sends one", c.Group, c.Flows)}}
	}
	var warnings []Warning
	if c.hasStopped() {
		warnings = append(warnings, Warning{Stopped, c.textOfStopped()})
	}
	if c.isSlow() {
		warnings = append(warnings, Warning{Slow, fmt.Sprintf(
			"group %s has a heartbeat every %s, but its flow %s is due every %s: slots in between are missed, or covered by the run of a later one; send heartbeats at least every %s",
			c.Group, shown(c.UsualGap), c.Interval.Flow, shown(c.Interval.Every), shown(c.Interval.Every))})
	}
	if c.isFast() {
		warnings = append(warnings, Warning{Fast, fmt.Sprintf(
			"group %s has a heartbeat every %s, but its most frequent flow, %s, is due only every %s: nearly all of them find nothing due; one every %s is enough",
			c.Group, shown(c.UsualGap), c.Interval.Flow, shown(c.Interval.Every), shown(min(c.Interval.Every, time.Minute)))})
	}
	return warnings
}

func (c Cadence) hasStopped() bool {
	if c.UsualGap == 0 {
		return *c.Age > stoppedMost
	}
	return *c.Age > max(stopped*c.UsualGap, stoppedLeast)
}

func (c Cadence) textOfStopped() string {
	usual := ""
	if c.UsualGap != 0 {
		usual = fmt.Sprintf(", and one came every %s before", shown(c.UsualGap))
	}
	return fmt.Sprintf("group %s had its last heartbeat %s ago%s: has its scheduler stopped, or can it no longer reach the gateway?", c.Group, shown(*c.Age), usual)
}

func (c Cadence) isSlow() bool { return c.UsualGap > c.Interval.Every+c.Interval.Slack }

func (c Cadence) isFast() bool {
	return c.UsualGap != 0 && c.UsualGap < fastMost && c.UsualGap*fast < c.Interval.Every
}

// shown is a duration as people say it: three or so digits are enough.
func shown(d time.Duration) store.Duration {
	for _, unit := range []time.Duration{time.Minute, time.Second, 10 * time.Millisecond} {
		if d >= 100*unit {
			return store.Duration(d.Round(unit))
		}
	}
	return store.Duration(d.Round(time.Millisecond))
}
