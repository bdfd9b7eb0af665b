package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// results shows what became of flows in few words.
func results(changes []store.FlowChange) string {
	said := make([]string, len(changes))
	for i, change := range changes {
		said[i] = change.Name + " " + string(change.Result)
	}
	return strings.Join(said, ", ")
}

func (f *fixture) putAll(source string, flows ...store.DataFlow) string {
	f.Helper()
	changes, err := f.PutFlows(f.ctx, source, flows)
	if err != nil {
		f.Fatal(err)
	}
	return results(changes)
}

func numbered(count int, change ...func(*store.DataFlow)) []store.DataFlow {
	flows := make([]store.DataFlow, count)
	for n := range flows {
		flows[n] = function(fmt.Sprintf("flow-%04d", n), change...)
	}
	return flows
}

// trips counts round trips to Redis.
type trips struct{ calls, pipelines int }

func (c *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { c.calls++; return next(ctx, cmd) }
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { c.pipelines++; return next(ctx, cmds) }
}

func TestManyFlowsArePutInFewRoundTripsOverAllPartitionsAndGroups(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{Partitions: 3})
	flows := numbered(1000, everyHour)
	for n := range flows {
		flows[n].Group = []string{"default", "shop"}[n%2]
	}
	counted := &trips{}
	f.client.AddHook(counted)
	changes, err := f.PutFlows(f.ctx, "files", flows)
	if err != nil || len(changes) != len(flows) {
		t.Fatal(len(changes), err)
	}
	if counted.pipelines > 20 || counted.calls > 60 { // six partitions, each with about 167 flows
		t.Errorf("%d calls and %d pipelines for 1,000 flows", counted.calls, counted.pipelines)
	}
	for n, change := range changes {
		if change.Name != flows[n].Name || change.Group != flows[n].Group || change.Result != store.FlowCreated || change.Changes != nil {
			t.Fatalf("flow %d: %+v", n, change)
		}
	}
	*counted = trips{}
	if got := f.putAll("files", flows...); strings.Count(got, " unchanged") != len(flows) || counted.calls != 1 {
		t.Errorf("put again with %d calls: %.200s", counted.calls, got)
	}
	if accepted := f.beat(); accepted.Due != 500 {
		t.Errorf("due in the group default are %d, want 500", accepted.Due)
	}
	if status, err := f.Status(f.ctx); err != nil || len(status) != 2 || status[1].Flows != 500 {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestLargeDefinitionsArePutInSmallerBatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	flows := numbered(7, func(d *store.DataFlow) { d.Description = strings.Repeat("x", 400_000) })
	if got := f.putAll("", flows...); strings.Count(got, " created") != 7 {
		t.Error(got)
	}
}

func TestPutFlowsSaysWhatDiffersAndPlanFlowsSaysTheSameAndWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.putAll("files", function("a", everyMinute), function("b", everyMinute), function("same", everyMinute))
	wanted := []store.DataFlow{
		function("a", everyHour),
		function("b", everyMinute, func(d *store.DataFlow) { d.Function, d.Exec = nil, &store.ExecSpec{Command: []string{"x"}} }),
		function("c"),
		function("same", everyMinute),
	}
	const want = `[{default a changed [{every "1m" "1h"}]} ` +
		`{default b changed [{exec.command  ["x"]} {function.name "f" }]} {default c created []} {default same unchanged []}]`
	show := func(changes []store.FlowChange, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(fmt.Sprintf("%s", changes), "%!s(<nil>)", "")
	}
	before := f.dump()
	if got := show(f.PlanFlows(f.ctx, "files", wanted)); got != want {
		t.Errorf("plan\n%s\nwant\n%s", got, want)
	}
	if after := f.dump(); after != before {
		t.Errorf("a plan was written:\n%s\nbefore\n%s", after, before)
	}
	if got := show(f.PutFlows(f.ctx, "files", wanted)); got != want {
		t.Errorf("put\n%s\nwant\n%s", got, want)
	}
}

// dump is everything that Redis holds of the fixture's hashes and sets.
func (f *fixture) dump() string {
	f.Helper()
	var all strings.Builder
	for _, key := range f.Keys(f.p) {
		switch f.client.Type(f.ctx, key).Val() {
		case "hash":
			fmt.Fprintln(&all, key, f.client.HGetAll(f.ctx, key).Val())
		case "zset":
			fmt.Fprintln(&all, key, f.client.ZRangeWithScores(f.ctx, key, 0, -1).Val())
		}
	}
	return all.String()
}

func TestABatchWithAnythingWrongIsNotWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	flows := []store.DataFlow{function("a"), {Name: "B"}, function("c"), function("a")}
	const want = `source: found "201 bytes: \"sss`
	for name, call := range map[string]func(context.Context, string, []store.DataFlow) ([]store.FlowChange, error){"put": f.PutFlows, "plan": f.PlanFlows} {
		_, err := call(f.ctx, strings.Repeat("s", store.MaxSource+1), flows)
		var invalid store.InvalidError
		if !errors.As(err, &invalid) || len(invalid) != 4 || !strings.HasPrefix(err.Error(), want) {
			t.Fatalf("%s: %v", name, err)
		}
		if got := fmt.Sprint(invalid[1].Field, " ", invalid[2].Field, " ", invalid[3]); got != `flows[1].name flows[1] flows[3].name: found "a, as in flows[0]", allowed is each name once in a group` {
			t.Errorf("%s: %s", name, got)
		}
	}
	if found, _, err := f.Flows(f.ctx, "default", 10, ""); err != nil || len(found) != 0 {
		t.Errorf("written: %+v, %v", found, err)
	}
	if changes, err := f.PutFlows(f.ctx, "files", nil); err != nil || len(changes) != 0 {
		t.Errorf("put of nothing: %v, %v", changes, err)
	}
}

// A flow that is unchanged, or differs in its source alone, goes on where it was; so does the run that holds it.
func TestUnchangedFlowsKeepSlotHistoryAndTheirRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	flows := numbered(3, everyMinute)
	f.putAll("old", flows...)
	f.beat()
	claims := f.claim("w", 3).Claims
	f.complete(claims[:2]...)
	before := f.dump()
	if got := f.putAll("old", flows...); strings.Count(got, "unchanged") != 3 {
		t.Error(got)
	}
	if after := withoutClock(f.dump()); after != withoutClock(before) {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	views := map[string]store.FlowView{}
	for _, flow := range flows {
		views[flow.Name] = f.flow(flow.Name)
	}
	changes, err := f.PutFlows(f.ctx, "new", flows)
	if err != nil || results(changes[:1]) != "flow-0000 changed" || len(changes[0].Changes) != 1 || fmt.Sprintf("%s", changes[0].Changes[0]) != `{source "old" "new"}` {
		t.Errorf("moved: %+v, %v", changes, err)
	}
	for name, before := range views {
		after := f.flow(name)
		if !after.NextSlot.Equal(*before.NextSlot) || after.LastRunID != before.LastRunID || after.RunningID != before.RunningID || after.Source != "new" {
			t.Errorf("before %+v, after %+v", before, after)
		}
	}
	if settled := f.complete(claims[2]); len(settled) != 1 || settled[0].Succeeded != 3 {
		t.Errorf("settled %+v", settled)
	}
	if got := f.flow("flow-0000").Source; got != "new" {
		t.Errorf("its completion left the source %q", got)
	}
}

// withoutClock leaves out the line that passes with time.
func withoutClock(dump string) string {
	_, rest, _ := strings.Cut(dump, "\n")
	return rest
}

// Two who put overlapping batches at once: each flow is created by one of them, and is whole.
func TestOfOverlappingBatchesOnlyConflictingFlowsAreTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	const writers, count = 4, 250
	created := make([]int, writers)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			changes, err := f.PutFlows(f.ctx, fmt.Sprint("source-", w), numbered(count, everyHour, func(d *store.DataFlow) { d.Description = fmt.Sprint(w) }))
			if err != nil {
				t.Error(err)
			}
			created[w] = strings.Count(results(changes), "created")
		})
	}
	writing.Wait()
	if sum := created[0] + created[1] + created[2] + created[3]; sum != count {
		t.Errorf("created %v, want %d together", created, count)
	}
	for _, flow := range numbered(count) {
		if got := f.flow(flow.Name); got.Source != "source-"+got.Description || got.NextSlot == nil {
			t.Fatalf("%s is torn: %+v", flow.Name, got)
		}
	}
}

// Someone else writes one flow of a batch between its look and its write: that one is tried again, the others are not.
func TestAConflictConcernsOneFlowOfABatch(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	f := fixtureOver(t, connect(t, server.URL()), store.Config{Prefix: "p"})
	other := fixtureOver(t, connect(t, server.URL()), store.Config{Prefix: "p"})
	f.putAll("files", numbered(3, everyMinute)...)
	sizes := []int{}
	f.client.AddHook(beforeScript(func(_ context.Context, args []any) error {
		if sizes = append(sizes, (len(args)-3-len(f.Keys(f.p)))/9); len(sizes) == 1 {
			other.put(function("flow-0001", everyHour, func(d *store.DataFlow) { d.Description = "theirs" }))
		}
		return nil
	}))
	changes, err := f.PutFlows(f.ctx, "files", numbered(3, everyHour))
	if err != nil || strings.Count(results(changes), "changed") != 3 {
		t.Fatal(changes, err)
	}
	if fmt.Sprint(sizes) != "[3 1]" {
		t.Errorf("calls took %v flows, want 3 and then 1", sizes)
	}
	if found := changes[1].Changes; len(found) != 1 || found[0].Field != "description" || string(found[0].From) != `"theirs"` || found[0].To != nil {
		t.Errorf("the flow of the conflict: %s", changes[1].Changes)
	}
	if got := f.flow("flow-0001"); got.Description != "" || got.Every.String() != "1h" {
		t.Errorf("got %+v", got)
	}
}
