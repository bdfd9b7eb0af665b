package metric_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/systole-run/systole/internal/metric"
)

func TestTwoRolesOfOneProcessShareAMetric(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	count := func() prometheus.Counter {
		return metric.Register(registry, prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total"}))
	}
	count().Inc()
	count().Inc()
	if got := testutil.ToFloat64(count()); got != 2 {
		t.Errorf("counted %v", got)
	}
	if got := testutil.ToFloat64(metric.Register(nil, prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total"}))); got != 0 {
		t.Errorf("without a registry it starts at %v", got)
	}
}

func TestALabelTellsOnlySoManyValuesApart(t *testing.T) {
	t.Parallel()
	label := metric.NewLabel(2)
	for i, want := range []string{"a", "b", metric.Other, "a"} {
		if got := label.Of([]string{"a", "b", "c", "a"}[i]); got != want {
			t.Errorf("value %d is %q, want %q", i, got, want)
		}
	}
}
