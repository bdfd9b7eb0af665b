package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/worker"
)

func TestTwoSchedulersOfOneGroupRunEverythingOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const flows, beats = 20, 10
	h.put("flow", flows)
	ran := newTally()
	for range 2 {
		h.start(worker.Config{Concurrency: 4}, func(_ context.Context, task executor.Task) executor.Result {
			ran.add(task)
			return executor.Result{}
		})
	}
	var schedulers sync.WaitGroup
	var mu sync.Mutex
	succeeded := 0
	for range 2 {
		schedulers.Go(func() {
			for range beats {
				settled := h.beat()
				mu.Lock()
				succeeded += settled.Succeeded
				mu.Unlock()
			}
		})
	}
	schedulers.Wait()
	for i := range flows {
		if name := fmt.Sprint("flow-", i); ran.count(name) != 1 {
			t.Errorf("%s ran %d times, want once", name, ran.count(name))
		}
	}
	if succeeded != flows {
		t.Errorf("the beats of both schedulers count %d runs, want %d", succeeded, flows)
	}
}

func TestMetricsTellHowLateAHeartbeatCameAndHowLongAfterTheOneBefore(t *testing.T) {
	t.Parallel()
	h, registry := newHarness(t), prometheus.NewRegistry()
	h.put("flow", 1)
	h.start(worker.Config{Registerer: registry}, func(context.Context, executor.Task) executor.Result { return executor.Result{} })
	gauge := func(name string) (value float64, there bool) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == name {
				return family.GetMetric()[0].GetGauge().GetValue(), true
			}
		}
		return 0, false
	}
	h.beat()
	view := h.beats()[0]
	if gap, there := gauge("systole_beat_gap_seconds"); there {
		t.Errorf("the first beat has a gap of %gs", gap)
	}
	if late, _ := gauge("systole_beat_lateness_seconds"); view.LatenessMS == nil || late != float64(*view.LatenessMS)/1000 {
		t.Errorf("lateness %gs, the beat is %+v", late, view)
	}
	h.beat()
	view = h.beats()[0]
	if gap, there := gauge("systole_beat_gap_seconds"); !there || view.GapMS == nil || gap != float64(*view.GapMS)/1000 {
		t.Errorf("gap %gs (%t), the beat is %+v", gap, there, view)
	}
	if late, there := gauge("systole_beat_lateness_seconds"); !there || late != 0 {
		t.Errorf("lateness %gs where nothing was due", late)
	}
}
