package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A year of irregular heartbeats, of runs that fail or outlast the next slots, and of pauses, under every combination of
// policies: each slot has exactly one outcome, in order and without a gap, and they add up to the slots of the schedule.
func TestEachSlotOfAYearHasExactlyOneOutcomeUnderEveryPolicy(t *testing.T) {
	t.Parallel()
	for _, schedule := range []DataFlow{{Every: Duration(20 * time.Minute)}, {Cron: "15 * * * *"}, {Cron: "30 2,14 * * *", Timezone: "Europe/Berlin"}} {
		for _, catchup := range []Catchup{CatchupLatest, CatchupAll, CatchupNone} {
			for _, deadline := range []time.Duration{0, 10 * time.Minute} {
				for _, attempts := range []int{1, 3} {
					for _, pauses := range []bool{false, true} {
						for _, overlap := range []Overlap{OverlapForbid, OverlapAllow} {
							flow := schedule
							flow.Name, flow.Overlap, flow.Catchup, flow.StartDeadline = "f", overlap, catchup, Duration(deadline)
							flow.Retry = &Retry{Attempts: attempts, Initial: Duration(time.Minute)}
							if catchup == CatchupAll {
								flow.CatchupLimit = 5
							}
							name := fmt.Sprintf("%s%s %s %s %s %d attempts pauses %t", flow.Every, flow.Cron, overlap, catchup, deadline, attempts, pauses)
							t.Run(name, func(t *testing.T) {
								t.Parallel()
								newYear(t, flow).live(pauses)
							})
						}
					}
				}
			}
		}
	}
}

// year is a flow's life on paper: what the scripts do with it, without Redis.
type year struct {
	t        *testing.T
	flow     DataFlow
	schedule Schedule
	random   *rand.Rand
	now, end time.Time
	state    flowState
	score    time.Time // when the slot comes due, zero while an occurrence of it is open
	retries  []Claim   // the attempts that wait, due at their StartedAt
	first    time.Time
	expected time.Time // the slot whose outcome comes next
	sum      map[string]int64
}

func newYear(t *testing.T, flow DataFlow) *year {
	flow = flow.WithDefaults()
	schedule, err := flow.Schedule()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	first, _ := schedule.First(began)
	return &year{
		t: t, flow: flow, schedule: schedule, random: rand.New(rand.NewPCG(1, uint64(len(t.Name())))), now: began, end: began.AddDate(1, 0, 0),
		state: flowState{slot: first, overlap: flow.Overlap}, score: first, first: first, expected: first, sum: map[string]int64{},
	}
}

// live sends beats until the year is over: mostly each minute or so, sometimes after a silence of hours.
func (y *year) live(pauses bool) {
	for y.now.Before(y.end) {
		gap := time.Minute + time.Duration(y.random.Int64N(int64(2*time.Second))) - time.Second
		switch y.random.IntN(200) {
		case 0:
			gap = time.Duration(y.random.Int64N(int64(8 * time.Hour)))
		case 1:
			gap = time.Duration(y.random.Int64N(int64(time.Hour)))
		}
		y.now = y.now.Add(gap).Truncate(time.Millisecond)
		if pauses && y.random.IntN(2000) == 0 {
			y.pause()
		}
		y.beat(y.now)
	}
	slots := y.sum[SlotRan] + y.sum[SlotMissed] + y.sum[SlotSkipped]
	if last, ok := y.schedule.Latest(y.expected.Add(-1), y.first); slots == 0 || !ok || int(slots) != y.schedule.Count(y.first, last) {
		y.t.Errorf("%d slots are accounted for, the schedule has %d: %v", slots, y.schedule.Count(y.first, last), y.sum)
	}
	if past := y.state.past; past.Ran+y.waiting() != y.sum[SlotRan] || past.Missed != y.sum[SlotMissed] || past.Skipped != y.sum[SlotSkipped] {
		y.t.Errorf("counted are %d ran, %d missed, %d skipped; want %v", past.Ran, past.Missed, past.Skipped, y.sum)
	}
	if behind := y.end.Sub(y.expected); behind > 48*time.Hour {
		y.t.Errorf("the year ended %s behind", behind)
	}
}

// pause is one by hand, for up to a day.
func (y *year) pause() {
	past := &y.state.past
	past.PausedFrom = y.now.UnixMilli()
	y.now = y.now.Add(time.Duration(y.random.Int64N(int64(24 * time.Hour)))).Truncate(time.Millisecond)
	past.Resumed = y.now.UnixMilli()
}

// waiting counts the slots that are accounted for when they begin, and have not ended.
func (y *year) waiting() int64 {
	if y.flow.Overlap == OverlapForbid {
		return 0
	}
	return int64(len(y.retries))
}

// beat claims what is due as of a heartbeat, as often as the flow comes due again as of it.
func (y *year) beat(asOf time.Time) {
	retries := y.retries
	y.retries = nil
	for _, claim := range retries {
		if !DueToRun(claim.StartedAt, asOf) {
			y.retries = append(y.retries, claim)
			continue
		}
		claim.AsOf, claim.StartedAt, claim.state = asOf, asOf, y.state
		y.run(claim)
	}
	for !y.score.IsZero() && DueToRun(y.score, asOf) {
		y.claim(asOf)
	}
}

func (y *year) claim(asOf time.Time) {
	claim := Claim{Flow: y.flow, RunID: fmt.Sprint("f~", y.now.UnixMicro()), Slot: y.state.slot, AsOf: asOf, StartedAt: asOf, Attempt: 1, state: y.state}
	decided, err := claim.plan()
	if err != nil {
		y.t.Fatal(err)
	}
	y.score = time.Time{}
	if !decided.run {
		y.complete(Completion{Claim: claim, Outcome: Outcome{missed: true}})
		return
	}
	if !claim.placedBy(decided) {
		args, err := claim.place(decided)
		if err != nil {
			y.t.Fatal(err)
		}
		const score = 9 // as lua/place.lua numbers its arguments
		y.state, y.score = claim.state, msTime(args[score].(string))
		y.account(decided.notes)
	}
	if y.flow.Overlap != OverlapForbid {
		y.ran(claim)
	}
	y.run(claim)
}

func (y *year) ran(claim Claim) {
	y.account([]slotNote{{from: claim.Slot, to: claim.Slot, count: 1, outcome: SlotRan}})
}

// run takes a moment, or outlasts slots and heartbeats; one in four fails.
func (y *year) run(claim Claim) {
	out := Outcome{Status: StatusSuccess, Took: time.Second}
	if y.random.IntN(4) == 0 {
		out.Status, out.Reason = StatusFailed, ReasonError
	}
	done := Completion{Claim: claim, Outcome: out}
	if y.random.IntN(20) == 0 {
		done.Outcome.Took = time.Duration(y.random.Int64N(int64(time.Hour)))
		for end := done.end(); ; {
			next := y.now.Add(time.Minute)
			if next.After(end) {
				break
			}
			y.now = next // a heartbeat that finds the flow running
		}
	}
	y.complete(done)
}

// complete does what complete.lua does: it has the caller think again where a beat has come meanwhile.
func (y *year) complete(done Completion) {
	for {
		after, err := done.after()
		if err != nil {
			y.t.Fatal(err)
		}
		if seen := msTime(after.seen); after.seen != "" && y.now.After(seen) && !after.score.IsZero() && DueToRun(after.score, y.now) {
			done.seen = y.now
			continue
		}
		if !after.retry.IsZero() {
			again := done.Claim
			again.Attempt, again.tries, again.StartedAt = again.Attempt+1, again.tries+1, after.retry
			y.retries = append(y.retries, again)
		} else if !done.Outcome.missed && y.flow.Overlap == OverlapForbid {
			y.ran(done.Claim)
		}
		y.account(after.notes)
		y.state = after.state
		if !after.score.IsZero() {
			y.score = after.score
		}
		return
	}
}

// account holds that each slot's outcome follows on that of the slot before.
func (y *year) account(notes []slotNote) {
	for _, note := range notes {
		if !note.from.Equal(y.expected) || note.to.Before(note.from) || note.count != y.schedule.Count(note.from, note.to) {
			y.t.Fatalf("%s (%s) from %s to %s, %d slots; expected is the outcome of %s", note.outcome, note.reason, note.from, note.to, note.count, y.expected)
		}
		y.sum[note.outcome] += int64(note.count)
		y.expected, _ = y.schedule.After(note.to)
	}
}
