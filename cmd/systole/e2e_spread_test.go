package main

import (
	"fmt"
	"testing"

	"github.com/systole-run/systole/store"
)

// R6.3 R6.4 R6.5 R6.6
func TestOneHeartbeatRunsEachDueFlowOnceOverAllWorkers(t *testing.T) {
	t.Parallel()
	const flows = 300
	s := newStand(t)
	s.workers(3, 4)
	gateway := s.gateway()
	count := onEachOf(3) + `; echo "$SYSTOLE_WORKER" >> "$DIR/$SYSTOLE_FLOW"`

	s.put("published", flows, count)
	s.publish("") // an empty message is a heartbeat
	beat := s.settled(1)[0]
	if beat.FlowsDue != flows || beat.FlowsTriggered != flows || beat.Succeeded != flows || beat.Failed != 0 {
		t.Errorf("published: %+v", beat)
	}
	s.checkSpread("published", flows)

	s.put("requested", flows, count)
	want := beatAnswer{Group: "default", Status: "settled", FlowsDue: flows, FlowsTriggered: flows, Succeeded: flows}
	got := settleBeat(t, gateway.url("gateway"))
	want.BeatID = s.beats()[1].ID
	if got != want {
		t.Errorf("requested: got %+v, want %+v", got, want)
	}
	s.checkSpread("requested", flows)
	if runs := s.runs(store.RunFilter{}); len(runs) != 2*flows {
		t.Errorf("found %d runs", len(runs))
	}
}

// onEachOf is a script of flows that stay until runs of their name have begun on so many workers. So it does not depend on how quick
// each worker is whether all have a part.
func onEachOf(workers int) string {
	return fmt.Sprintf(`on="$DIR/on-${SYSTOLE_FLOW%%-*}"; mkdir -p "$on/$SYSTOLE_WORKER"; until [ "$(ls "$on" | wc -l)" -ge %d ]; do sleep 0.05; done`, workers)
}

// checkSpread sees to what the flows themselves wrote: each ran once, and every worker ran its part.
func (s *stand) checkSpread(name string, flows int) {
	s.t.Helper()
	byWorker := map[string]int{}
	for i := range flows {
		flow := flowName(name, i)
		workers := s.lines(flow)
		if len(workers) != 1 {
			s.t.Errorf("%s ran on %v", flow, workers)
			continue
		}
		byWorker[workers[0]]++
	}
	for _, worker := range []string{"w1", "w2", "w3"} {
		if byWorker[worker] == 0 {
			s.t.Errorf("%s: shared as %v", name, byWorker)
		}
	}
}
