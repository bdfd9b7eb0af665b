package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// allRuns reads a listing page by page; it fails if a run comes twice.
func (f *fixture) allRuns(filter store.RunFilter) []string {
	f.Helper()
	var ids []string
	for {
		runs, next, err := f.Runs(f.ctx, "default", filter)
		if err != nil {
			f.Fatal(err)
		}
		for _, run := range runs {
			if slices.Contains(ids, run.ID) {
				f.Fatalf("run %s is listed twice", run.ID)
			}
			ids = append(ids, run.ID)
		}
		if len(runs) > filter.Limit {
			f.Fatalf("a page of up to %d has %d", filter.Limit, len(runs))
		}
		if next == "" {
			return ids
		}
		filter.After = next
	}
}

func TestRunsArePagedWithoutGapOrRepeatEvenIfAllEndedInTheSameMillisecond(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, store.Config{Partitions: partitions})
			f.pass(0)
			var flows []string
			for n := range 25 {
				flows = append(flows, fmt.Sprintf("flow-%02d", n))
				f.put(function(flows[n], everyMinute))
			}
			f.beat()
			for _, p := range f.Partitions("default") {
				for claimed := f.claimFrom(p, "w", 100); len(claimed.Claims) > 0; claimed = f.claimFrom(p, "w", 100) {
					f.complete(claimed.Claims...)
				}
			}
			waiting := []string{f.runNow(flows[3], ""), f.runNow(flows[4], "")} // open ones come first
			want := f.allRuns(store.RunFilter{Limit: 1000})
			if len(want) != 27 || !slices.Contains(want[:2], waiting[0]) || !slices.Contains(want[:2], waiting[1]) {
				t.Fatalf("listed %d: %v", len(want), want)
			}
			for _, limit := range []int{1, 2, 7, 26, 27} {
				if got := f.allRuns(store.RunFilter{Limit: limit}); !slices.Equal(got, want) {
					t.Errorf("in pages of %d: %v\nwant %v", limit, got, want)
				}
			}
			var names []string
			after := ""
			for {
				page, next, err := f.Flows(f.ctx, "default", 4, after)
				if err != nil {
					t.Fatal(err)
				}
				for _, flow := range page {
					names = append(names, flow.Name)
				}
				if after = next; next == "" {
					break
				}
			}
			if !slices.Equal(names, flows) {
				t.Errorf("flows in pages of 4: %v", names)
			}
		})
	}
}

func TestRunsOfOneFlowAreListedNewestFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a"), function("a-b"), function("ab"))
	var want []string
	for n := range 6 {
		f.runNow("a-b", "")
		f.runNow("ab", "")
		want = append([]string{f.runNow("a", runID("a", n+1))}, want...)
		f.complete(f.claim("w", 100).Claims...)
	}
	for _, limit := range []int{1, 4, 6} {
		if got := f.allRuns(store.RunFilter{Flow: "a", Limit: limit}); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v\nwant %v", limit, got, want)
		}
	}
}

func TestAFilterByStatusFillsItsPages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{RunTTL: time.Hour})
	f.put(function("a"))
	var failed int
	for n := range 30 {
		f.runNow("a", runID("a", n+1))
		c := f.claimOne("w")
		out := store.Outcome{Status: store.StatusSuccess}
		if n%10 == 0 {
			out.Status, failed = store.StatusFailed, failed+1
		}
		if _, err := f.Complete(f.ctx, f.p, []store.Completion{{Claim: c, Outcome: out}}); err != nil {
			t.Fatal(err)
		}
	}
	runs, _, err := f.Runs(f.ctx, "default", store.RunFilter{Status: store.StatusFailed, Limit: failed})
	if err != nil || len(runs) != failed {
		t.Errorf("%d of %d failed runs, %v", len(runs), failed, err)
	}
}

func TestListingsRefuseACursorOrStatusThatIsNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	for _, filter := range []store.RunFilter{
		{After: "x"}, {After: "!!"}, {After: "bm9uZQ"}, {Flow: "a", After: "?"}, {Status: "lost"},
	} {
		if _, _, err := f.Runs(f.ctx, "default", filter); !errors.As(err, new(store.InvalidError)) {
			t.Errorf("%+v: %v, want an InvalidError", filter, err)
		}
	}
	if _, _, err := f.Beats(f.ctx, "default", 1, "!!"); !errors.As(err, new(store.InvalidError)) {
		t.Errorf("beats: %v", err)
	}
}

func FuzzListingsTakeAnyCursor(f *testing.F) {
	f.Add("")
	f.Add("MTIzIGE")
	f.Add("OTIyMzM3MjAzNjg1NDc3NTgwOCBh")
	f.Fuzz(func(t *testing.T, after string) {
		fixture := newFixture(t, store.Config{})
		for _, filter := range []store.RunFilter{{After: after}, {Flow: "a", After: after}} {
			if _, _, err := fixture.Runs(fixture.ctx, "default", filter); err != nil && !errors.As(err, new(store.InvalidError)) {
				t.Fatalf("%q: %v", after, err)
			}
		}
	})
}

func TestHistoryIsBoundedByRunsPerFlow(t *testing.T) {
	t.Parallel()
	const kept = 5
	f := newFixture(t, store.Config{RunsPerFlow: kept})
	f.put(function("a"), function("b"))
	for n := range 20 {
		f.runNow("a", runID("a", n+1))
		batch := success(f.claimOne("w"))
		batch[0].Outcome.Log = []byte("x")
		if _, err := f.Complete(f.ctx, f.p, batch); err != nil {
			t.Fatal(err)
		}
	}
	f.runNow("b", "")
	f.complete(f.claimOne("w"))
	got := f.allRuns(store.RunFilter{Flow: "a", Limit: 100})
	if len(got) != kept || got[0] != runID("a", 20) {
		t.Errorf("kept %v", got)
	}
	tag := strings.TrimSuffix(f.Keys(f.p)[0], "meta")
	for key, want := range map[string]int64{"runs": kept + 1, "logs": kept} {
		if n := f.client.HLen(f.ctx, tag+key).Val(); n != want {
			t.Errorf("%d %s, want %d", n, key, want)
		}
	}
}

func TestHistoryIsBoundedByTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{RunTTL: time.Hour})
	f.pass(0)
	f.put(function("a"), function("b"))
	old := f.runNow("a", "")
	f.complete(f.claimOne("w"))
	f.pass(time.Hour)
	f.runNow("b", "")
	f.complete(f.claimOne("w")) // any completion of the partition drops what is past
	if _, err := f.Run(f.ctx, "default", old); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the old run is still there: %v", err)
	}
}

func TestBeatsAreBoundedAndAnOldOneDoesNotDrainForEver(t *testing.T) {
	t.Parallel()
	const kept = 3
	f := newFixture(t, store.Config{Beats: kept})
	f.pass(0)
	f.put(function("a", everyMinute))
	for range 10 {
		f.beat() // nobody claims: each of them drains
		f.pass(time.Millisecond)
	}
	beats, _, err := f.Beats(f.ctx, "default", 100, "")
	if err != nil || len(beats) != kept || beats[0].ID != "beat-10-10" {
		t.Errorf("beats %+v, %v", beats, err)
	}
	f.complete(f.claimOne("w"))
	if more := f.claim("w", 1); more.More || len(more.Claims) > 0 {
		t.Errorf("something still drains: %+v", more)
	}
	beats, _, err = f.Beats(f.ctx, "default", 100, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, beat := range beats {
		if beat.SettledAt == nil {
			t.Errorf("beat %s is not settled", beat.ID)
		}
	}
}
