package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func TestABeatIsStampedOnceWhoeverBringsIt(t *testing.T) { // R3.1
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute), function("b", everyMinute))
	bring := func(worker string) store.Accepted {
		accepted, err := f.AcceptBeat(f.ctx, store.Arrival{Key: "7-7", ID: "beat", Group: "default", Worker: worker})
		if err != nil {
			t.Fatal(err)
		}
		return accepted
	}
	first := bring("one")
	if !first.First || first.Due != 2 || first.Settled != nil || first.Empty {
		t.Errorf("first %+v", first)
	}
	f.pass(time.Second)
	f.put(function("c", everyMinute))
	for worker, want := range map[string]bool{"one": true, "two": false} {
		if again := bring(worker); again.First != want || !again.AsOf.Equal(first.AsOf) || again.Due != 2 {
			t.Errorf("again by %s: %+v", worker, again)
		}
	}
	if claimed := f.claim("w", 10); len(claimed.Claims) != 2 {
		t.Errorf("%d were claimed as of the beat, c was put after it", len(claimed.Claims))
	}
}

func TestABeatOfAGroupWithoutFlowsIsSettledAndLeavesNoTrace(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3} {
		f := newFixture(t, store.Config{Partitions: partitions})
		accepted := f.beat()
		if !accepted.Empty || accepted.Settled == nil || accepted.Due != 0 || !accepted.First {
			t.Errorf("accepted %+v", accepted)
		}
		if keys, err := f.client.Keys(f.ctx, f.prefix+":*").Result(); err != nil || len(keys) != 0 {
			t.Errorf("with %d partitions it left %v, %v", partitions, keys, err)
		}
	}
}

func TestABeatThatFindsNothingDueIsSettledAtOnce(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3} {
		f := newFixture(t, store.Config{Partitions: partitions})
		f.put(function("a"), function("b"))
		accepted := f.beat()
		if accepted.Settled == nil || accepted.Settled.SettledAt == nil || accepted.Empty || accepted.Due != 0 {
			t.Errorf("with %d partitions: %+v", partitions, accepted)
		}
	}
}

func TestABeatIsSettledWhenTheLastRunUnderItEndsAndNotByALongRunOfAnother(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("long", everyMinute))
	f.beat()
	long := f.claimOne("w")
	f.pass(time.Second)
	f.put(function("short", everyMinute))
	f.beat()
	if settled := f.complete(f.claimOne("w")); len(settled) != 1 || settled[0].ID != "beat-2-2" || settled[0].FlowsTriggered != 1 {
		t.Fatalf("settled %+v", settled)
	}
	if settled := f.complete(long); len(settled) != 1 || settled[0].ID != "beat-1-1" || settled[0].Succeeded != 1 {
		t.Fatalf("settled %+v", settled)
	}
}

// The worker that is busy does not claim again, but what it holds is all there was: the beat is settled by its end alone.
func TestABeatIsSettledWithoutAnotherClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	f.beat()
	claimed := f.claim("w", 1) // exactly as many as are due
	if settled := f.complete(claimed.Claims...); len(settled) != 1 {
		t.Errorf("settled %+v", settled)
	}
	if claimed.More {
		t.Error("more was said to be there")
	}
}

// The same `every` for a beat that comes while an earlier one still drains: each of both runs the flow once.
func TestAMinuteFlowRunsOncePerBeatAlsoWhereBeatsComeWhileEarlierOnesDrain(t *testing.T) { // R3.2
	t.Parallel()
	for _, behind := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(behind, " beats at once"), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, store.Config{})
			f.pass(0)
			names := []string{"a", "b", "c"}
			for _, name := range names {
				f.put(function(name, everyMinute))
			}
			jitter := []time.Duration{0, 700 * time.Millisecond, -800 * time.Millisecond, 300 * time.Millisecond}
			early := time.Duration(0)
			const rounds = 4
			beats := 0
			for range rounds {
				for range behind {
					f.beat()
					beats++
					late := jitter[beats%len(jitter)]
					f.pass(time.Minute + late - early)
					early = late
				}
				for claimed := f.claim("w", 2); len(claimed.Claims) > 0; claimed = f.claim("w", 2) {
					f.complete(claimed.Claims...)
				}
			}
			all, _, err := f.Beats(f.ctx, "default", 1000, "")
			if err != nil || len(all) != beats {
				t.Fatalf("%d beats, %v", len(all), err)
			}
			for _, beat := range all {
				if beat.FlowsTriggered != len(names) || beat.Succeeded != len(names) || beat.SettledAt == nil {
					t.Errorf("beat %s ran %d of %d flows, settled at %v", beat.ID, beat.FlowsTriggered, len(names), beat.SettledAt)
				}
			}
		})
	}
}

func TestABeatOverThreePartitionsIsOneBeat(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{Partitions: 3})
	const flows = 12
	filled := map[int]int{}
	for n := range flows {
		name := fmt.Sprintf("flow-%d", n)
		filled[f.PartitionOf("default", name).N]++
		f.put(function(name, everyMinute))
	}
	if len(filled) != 3 {
		t.Fatalf("flows are in partitions %v", filled)
	}
	accepted := f.beat()
	if accepted.Due != flows || accepted.Settled != nil || !accepted.First {
		t.Fatalf("accepted %+v", accepted)
	}
	var settled []store.BeatView
	for _, p := range f.Partitions("default") {
		claimed := f.claimFrom(p, "w", 100)
		for _, c := range claimed.Claims {
			if !c.AsOf.Equal(accepted.AsOf) {
				t.Errorf("%s was claimed as of %s, the beat is of %s", c.RunID, c.AsOf, accepted.AsOf)
			}
		}
		settled = append(settled, claimed.Settled...)
		settled = append(settled, f.complete(claimed.Claims...)...)
	}
	if len(settled) != 1 {
		t.Fatalf("settled %d times: %+v", len(settled), settled)
	}
	if got := settled[0]; got.FlowsDue != flows || got.FlowsTriggered != flows || got.Succeeded != flows || got.Failed != 0 {
		t.Errorf("settled %+v", got)
	}
	beats, next, err := f.Beats(f.ctx, "default", 10, "")
	if err != nil || next != "" || len(beats) != 1 || beats[0].Succeeded != flows || beats[0].SettledAt == nil {
		t.Errorf("beats %+v, %q, %v", beats, next, err)
	}
	status, err := f.Status(f.ctx)
	if err != nil || len(status) != 1 || status[0].Flows != flows || status[0].LastBeatID != "beat-1-1" {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestBeatsArePagedAcrossPartitions(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{Partitions: 3})
	for n := range 6 {
		f.put(function(fmt.Sprintf("flow-%d", n)))
	}
	const beats = 11
	for range beats {
		f.beat() // many of them in the same millisecond
	}
	var ids []string
	after := ""
	for {
		page, next, err := f.Beats(f.ctx, "default", 3, after)
		if err != nil {
			t.Fatal(err)
		}
		for _, beat := range page {
			if slices.Contains(ids, beat.ID) {
				t.Fatalf("beat %s is listed twice", beat.ID)
			}
			ids = append(ids, beat.ID)
		}
		if after = next; next == "" {
			break
		}
	}
	if len(ids) != beats {
		t.Errorf("listed %d of %d: %v", len(ids), beats, ids)
	}
}

func TestAnotherNumberOfPartitionsThanIsRecordedIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{Partitions: 2})
	if _, err := f.Check(f.ctx); err != nil {
		t.Fatal(err)
	}
	for partitions, want := range map[int]error{2: nil, 3: store.ErrPartitions, 0: store.ErrPartitions} {
		other, err := store.New(f.client, store.Config{Prefix: f.prefix, Partitions: partitions})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Check(f.ctx); !errors.Is(err, want) {
			t.Errorf("%d partitions: %v, want %v", partitions, err, want)
		}
	}
}

// Two schedulers that beat one group each minute, at the same moment or one after the other, are as good as one.
func TestRedundantSchedulersRunEachSlotOnce(t *testing.T) {
	t.Parallel()
	for _, apart := range []time.Duration{0, time.Millisecond, 5 * time.Second, 30 * time.Second} {
		t.Run(apart.String(), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, store.Config{})
			f.pass(0)
			f.put(function("minutely", everyMinute))
			const minutes = 30
			for range minutes {
				for _, wait := range []time.Duration{apart, time.Minute - apart} {
					f.beat()
					for claimed := f.claim("w", 2); len(claimed.Claims) > 0; claimed = f.claim("w", 2) {
						f.complete(claimed.Claims...)
					}
					f.pass(wait)
				}
			}
			runs, _, err := f.Runs(f.ctx, "default", store.RunFilter{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			slots := map[time.Time]bool{}
			for _, run := range runs {
				slots[*run.Slot] = true
			}
			if flow := f.flow("minutely"); len(runs) != minutes || len(slots) != minutes || flow.SlotsMissed+flow.SlotsSkipped != 0 {
				t.Errorf("%d runs of %d slots in %d minutes, %d missed, %d skipped", len(runs), len(slots), minutes, flow.SlotsMissed, flow.SlotsSkipped)
			}
		})
	}
}

func TestABeatTellsHowLateItCameAndHowLongAfterTheOneBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{Partitions: 3})
	check := func(what string, lateness, gap *int64, want ...int64) {
		t.Helper()
		var got []int64
		for _, ms := range []*int64{lateness, gap} {
			if ms != nil {
				got = append(got, *ms)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has lateness and gap %d, want %d", what, got, want)
		}
	}
	f.pass(0)
	f.put(function("minutely", everyMinute))
	f.pass(4 * time.Second)
	first := f.beat()
	check("the first beat", first.LatenessMS, first.GapMS, 4000)
	f.complete(f.claimFrom(f.PartitionOf("default", "minutely"), "w", 1).Claims...)
	f.pass(10 * time.Second)
	f.put(function("other", everyMinute), function("third", everyMinute)) // in partitions that no beat has met yet
	f.pass(80 * time.Second)
	second := f.beat()
	check("the second beat", second.LatenessMS, second.GapMS, 80_000, 90_000)
	beats, _, err := f.Beats(f.ctx, "default", 10, "")
	if err != nil || len(beats) != 2 {
		t.Fatalf("beats %+v, %v", beats, err)
	}
	check("the second beat, read", beats[0].LatenessMS, beats[0].GapMS, 80_000, 90_000)
	check("the first beat, read", beats[1].LatenessMS, beats[1].GapMS, 4000)
}

// Whoever asks for runs without a pause does not keep the schedule from its share of the workers, nor the other way round.
func TestNeitherRunNowsNorSlotsKeepTheOtherWaitingForEver(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("asked", overlap(store.OverlapAllow)), function("slot", everyHour))
	for range 3 {
		f.runNow("asked", "")
	}
	f.beat()
	ran := map[string]int{}
	for range 100 { // one worker with one slot, and the queue is never empty
		f.runNow("asked", "")
		c := f.claimOneOf("w")
		ran[c.Flow.Name]++
		f.complete(c)
		if ran["slot"] > 0 && ran["asked"] > 0 {
			return
		}
	}
	t.Errorf("ran %v", ran)
}
