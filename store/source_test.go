package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/systole-run/systole/store"
)

func (f *fixture) from(source string, limit int) (names []string) {
	f.Helper()
	groups, err := f.Groups(f.ctx)
	if err != nil {
		f.Fatal(err)
	}
	for after, pages := "", 0; ; pages++ {
		page, next, err := f.FlowsFrom(f.ctx, groups, source, limit, after)
		if err != nil || pages > 1000 {
			f.Fatal(pages, err)
		}
		for _, ref := range page {
			names = append(names, ref.Group+"/"+ref.Name)
		}
		if after = next; next == "" {
			slices.Sort(names)
			return names
		}
	}
}

func TestTheFlowsOfASourceAreFoundInEveryGroupAndPartition(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 4} {
		f := newFixture(t, store.Config{Partitions: partitions})
		f.putAll("others", numbered(25)...)
		f.put(function("by-hand"))
		var want []string
		for _, group := range []string{"a", "default", "z"} {
			for n := range 12 {
				flow := function(fmt.Sprintf("mine-%02d", n))
				flow.Group = group
				f.putAll("mine", flow)
				want = append(want, group+"/"+flow.Name)
			}
		}
		for _, limit := range []int{1, 5, 12, 1000} {
			if got := f.from("mine", limit); !slices.Equal(got, want) {
				t.Errorf("%d partitions, by %d: %v", partitions, limit, got)
			}
		}
		for _, source := range []string{"", "min", "mine "} {
			if got := f.from(source, 10); len(got) != 0 {
				t.Errorf("from %q: %v", source, got)
			}
		}
	}
}

func TestAFlowPutByHandKeepsItsSourceAndADeletedOneLosesIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.putAll("files", function("a", everyMinute))
	f.put(function("a", everyHour))
	if got := f.flow("a").Source; got != "files" {
		t.Errorf("source is %q", got)
	}
	if err := f.DeleteFlow(f.ctx, "default", "a"); err != nil {
		t.Fatal(err)
	}
	f.put(function("a"))
	if got := f.flow("a").Source; got != "" {
		t.Errorf("a new flow has the source %q", got)
	}
}

func TestDeleteFlowFromDeletesOnlyWhatIsOfThatSource(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.putAll("files", function("a"))
	f.put(function("b"))
	for _, wrong := range [][2]string{{"file", "a"}, {"", "a"}, {"files", "b"}, {"", "b"}, {"files", "c"}} {
		if err := f.DeleteFlowFrom(f.ctx, wrong[0], "default", wrong[1]); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s from %q: %v", wrong[1], wrong[0], err)
		}
	}
	if err := f.DeleteFlowFrom(f.ctx, "files", "default", "a"); err != nil {
		t.Error(err)
	}
	if got := f.from("files", 10); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
}

func TestABadCursorOfASourceIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	for _, after := range []string{"x", "a/b/c", "a/1", "a/1/b/c"} {
		if _, _, err := f.FlowsFrom(f.ctx, []string{"default"}, "files", 10, after); !errors.As(err, new(store.InvalidError)) {
			t.Errorf("after %q: %v", after, err)
		}
	}
}
