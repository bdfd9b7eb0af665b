package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// R3.5
func TestMeasureCountsRunsByKindOutcomeAndReason(t *testing.T) {
	t.Parallel()
	results := []executor.Result{
		{},
		{},
		{Err: errors.New("exit 3"), Reason: store.ReasonError},
		{Err: errors.New("odd"), Reason: "flow-specific reason"},
	}
	next := 0
	registry := prometheus.NewPedanticRegistry()
	measured, err := executor.Measure(does(func(context.Context, executor.Task) executor.Result {
		if got := gauge(t, registry, "systole_executor_running"); got != 1 {
			t.Errorf("running = %v during a run", got)
		}
		next++
		return results[next-1]
	}), registry)
	if err != nil {
		t.Fatal(err)
	}
	task, _ := execTask()
	for range results {
		measured.Execute(t.Context(), task)
	}
	if got := gauge(t, registry, "systole_executor_running"); got != 0 {
		t.Errorf("running = %v after the runs", got)
	}
	want := map[string]uint64{"exec/success/": 2, "exec/failed/error": 1, "exec/failed/other": 1}
	got := durations(t, registry)
	for series, count := range want {
		if got[series] != count {
			t.Errorf("%s: counted %d, want %d", series, got[series], count)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got series %v", got)
	}
}

func TestMeasureWithoutARegistererChangesNothing(t *testing.T) {
	t.Parallel()
	if measured, err := executor.Measure(does(nil), nil); err != nil || measured.(does) != nil {
		t.Errorf("got %v, %v", measured, err)
	}
}

func TestMeasureSaysSoWhenItsNamesAreTaken(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	_, first := executor.Measure(does(nil), registry)
	_, second := executor.Measure(does(nil), registry)
	if first != nil || second == nil {
		t.Errorf("got %v, then %v", first, second)
	}
}

func gauge(t *testing.T, registry prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			total += metric.GetGauge().GetValue()
		}
	}
	return total
}

// durations gives the count of each series, as "kind/outcome/reason".
func durations(t *testing.T, registry prometheus.Gatherer) map[string]uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, family := range families {
		if family.GetName() != "systole_executor_duration_seconds" {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() { // sorted by name: kind, outcome, reason
				labels = append(labels, label.GetValue())
			}
			counts[strings.Join(labels, "/")] = metric.GetHistogram().GetSampleCount()
		}
	}
	return counts
}
