package main

import (
	"net/http"
	"testing"

	"github.com/systole-run/systole/store"
)

// load is a script of flows of which the first end by themselves, and all others once the gate is open: an outage falls into their midst.
const load = `case "$SYSTOLE_FLOW" in orders-?) ;; *) until test -e "$DIR/gate"; do sleep 0.05; done;; esac`

// R6.3 R6.4
func TestEverythingDueRunsThoughRedisIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const flows = 60
	s := newStand(t)
	workers := s.workers(2, 4, "SYSTOLE_WORKER__LEASE="+lease.String())
	gateway := s.gateway()

	s.put("orders", flows, load)
	s.publish("")
	pollUntil(t, "the load is on", func() bool { return len(s.successes()) > 0 })
	s.redis.Kill()
	s.open("gate")
	for name, w := range workers {
		pollUntil(t, name+" says that Redis is away", func() bool {
			status, checks := w.readiness()
			return status == http.StatusServiceUnavailable && checks["redis"] != "ok" && checks["nats"] == "ok"
		})
	}
	// The gateway knows no Redis; the workers run what it takes in once they have theirs again.
	if response, answer := sendBeat(t, http.MethodPost, gateway.url("gateway")+"/heartbeat"); response.StatusCode != http.StatusAccepted {
		t.Errorf("while Redis was away: %s %+v", response.Status, answer)
	}
	// Long enough for every lease to expire, and for every call to be given up: of a worker that held something to write,
	// or of one that looked for more.
	for name, w := range workers {
		pollUntil(t, name+" gives up a call", func() bool {
			return w.logged("runs ended but could not be written; it is repeated") != nil || w.logged("claim failed; it is repeated") != nil
		})
	}
	if err := s.redis.Start(); err != nil {
		t.Fatal(err)
	}
	s.settled(2)
	s.checkOnce("orders", flows)
	s.checkNextBeat(gateway, workers)
	checkStillThere(t, gateway, workers)
}

// R2.4 R6.3 R6.4
func TestEverythingDueRunsThoughNATSIsRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]bool{"with its streams": true, "with nothing kept": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const flows = 60
			s := newStand(t)
			workers := s.workers(2, 4)
			gateway := s.gateway()

			s.put("orders", flows, load)
			s.publish("")
			pollUntil(t, "the load is on", func() bool { return len(s.successes()) > 0 })
			s.nats.Stop()
			s.checkRefused(gateway)
			s.open("gate")
			s.settled(1) // what was claimed, and what is left to claim, needs no NATS
			s.checkOnce("orders", flows)
			s.checkRefused(gateway)
			s.nats.Restart(t, keep)
			gateway.awaitReady()
			for _, w := range workers {
				w.awaitReady()
			}
			s.checkNextBeat(gateway, workers)
			checkStillThere(t, gateway, workers)
		})
	}
}

// checkRefused sees the gateway refuse heartbeats while NATS is away, and say so.
func (s *stand) checkRefused(gateway *daemon) {
	s.t.Helper()
	for range 5 {
		response, answer := sendBeat(s.t, http.MethodPost, gateway.url("gateway")+"/heartbeat")
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			s.t.Errorf("without NATS: %s %+v, Retry-After %q", response.Status, answer, response.Header.Get("Retry-After"))
		}
	}
	pollUntil(s.t, "the gateway says that NATS is away", func() bool {
		status, checks := gateway.readiness()
		return status == http.StatusServiceUnavailable && checks["nats"] != "ok"
	})
}

// checkNextBeat sees the next heartbeat settle, and run what has come due since, on every worker: none has gone deaf.
func (s *stand) checkNextBeat(gateway *daemon, workers map[string]*daemon) {
	s.t.Helper()
	const flows = 16 // more than a worker has slots for
	s.put("invoices", flows, onEachOf(len(workers)))
	if answer := settleBeat(s.t, gateway.url("gateway")); answer.FlowsTriggered != flows || answer.Succeeded != flows {
		s.t.Errorf("the next beat: %+v", answer)
	}
	s.checkOnce("invoices", flows)
	byWorker := map[string]int{}
	for i := range flows {
		byWorker[s.runs(store.RunFilter{Flow: flowName("invoices", i)})[0].Worker]++
	}
	if len(byWorker) != len(workers) {
		s.t.Errorf("the next beat was shared as %v", byWorker)
	}
}

// checkOnce sees to it that each flow has succeeded, and that no more than one completion was accepted.
func (s *stand) checkOnce(name string, flows int) {
	s.t.Helper()
	successes := s.successes()
	for i := range flows {
		if flow := flowName(name, i); successes[flow] != 1 {
			s.t.Errorf("%s has succeeded %d times: %+v", flow, successes[flow], s.runs(store.RunFilter{Flow: flow}))
		}
	}
}

// checkStillThere sees to it that nothing had to be restarted.
func checkStillThere(t *testing.T, gateway *daemon, workers map[string]*daemon) {
	t.Helper()
	for _, d := range workers {
		if !d.runs() {
			t.Errorf("%s has ended", d.name)
		}
	}
	if !gateway.runs() {
		t.Error("the gateway has ended")
	}
}
