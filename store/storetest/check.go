package storetest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/systole-run/systole/store"
)

// check compares all that Redis holds with the model, after each step.
func (m *machine) check(t *rapid.T) {
	s := take(t, m.client, m.tag)
	m.checkFlows(t, s)
	m.checkHeld(t, s)
	m.checkWaiting(t, s)
	m.checkRuns(t, s)
	m.checkBeats(t, s)
	m.checkDueToRun(t)
	if s.token < m.token {
		t.Fatalf("newest token is %d, %d was given", s.token, m.token)
	}
}

func (m *machine) checkFlows(t *rapid.T, s snapshot) {
	names := sorted(m.flows)
	if !slices.Equal(sorted(s.defs), names) || !slices.Equal(sorted(s.state), names) || !slices.Equal(s.names, names) {
		t.Fatalf("defs %v, state %v, names %v; want %v", sorted(s.defs), sorted(s.state), s.names, names)
	}
	if due := m.due(); !maps.Equal(s.due, due) {
		t.Fatalf("due are %v, want %v", s.due, due)
	}
	for _, name := range names {
		if got := standingOf(t, s.state[name]); got != m.flows[name].standing {
			t.Fatalf("%s stands at %+v, want %+v", name, got, m.flows[name].standing)
		}
	}
}

func (m *machine) checkHeld(t *rapid.T, s snapshot) {
	if !slices.Equal(sorted(s.held), sorted(m.held)) {
		t.Fatalf("held are %v, want %v", s.held, m.held)
	}
	for run, want := range m.held {
		if got := s.held[run]; got.packed != want.packed || got.expiry != want.expiry {
			t.Fatalf("held is %s, want %s", got, want)
		}
		if beside := m.beside(want); beside != "" {
			t.Fatalf("%s runs beside %s: %v", run, beside, m.held)
		}
	}
	var begun []string
	for _, all := range []map[string]*occurrence{m.held, m.waiting} {
		for run, o := range all {
			if o.begun() {
				begun = append(begun, run)
			}
		}
	}
	slices.Sort(begun)
	if !slices.Equal(s.open, begun) {
		t.Fatalf("open are %v, want %v", s.open, begun)
	}
}

// beside gives a run of the same flow that is under lease too, though it must not be: both were claimed since the flow is as
// it is, and neither is only there to be ended.
func (m *machine) beside(h *occurrence) string {
	f := m.flows[nameOf(h.run)]
	if f == nil || f.def.Overlap != store.OverlapForbid || h.taken < f.forbids || m.flagged[h.run] != "" {
		return ""
	}
	for _, run := range of(nameOf(h.run), m.held) {
		if run != h.run && m.held[run].taken >= f.forbids && m.flagged[run] == "" {
			return run
		}
	}
	return ""
}

func (m *machine) checkWaiting(t *rapid.T, s snapshot) {
	if !slices.Equal(sorted(s.waiting), sorted(m.waiting)) {
		t.Fatalf("waiting are %v, want %v", s.waiting, m.waiting)
	}
	for run, want := range m.waiting {
		if got := s.waiting[run]; got.packed != want.packed || got.at != want.at || got.due != want.due {
			t.Fatalf("waiting is %s, want %s", got, want)
		}
	}
	if waiting := len(s.queue) + len(s.blocked); waiting > len(m.waiting) {
		t.Fatalf("queued are %v, blocked %v; waiting are %v", sorted(s.queue), s.blocked, sorted(m.waiting))
	}
	m.checkStuck(t)
	m.checkPlaces(t, s)
	for id := range s.params {
		alive := false
		for _, all := range []map[string]*occurrence{m.held, m.waiting} {
			for _, o := range all {
				alive = alive || o.occurrence == id
			}
		}
		if !alive {
			t.Fatalf("parameters of %s are kept, which has ended", id)
		}
	}
}

// checkStuck: whatever waits for a run to end waits for one that can, and will let it go.
func (m *machine) checkStuck(t *rapid.T) {
	for run, w := range m.waiting {
		switch name := nameOf(run); w.at {
		case atFlow:
			ahead := slices.ContainsFunc(of(name, m.waiting), func(other string) bool { return m.waiting[other].at == atQueue })
			if !m.busy(name) && !ahead {
				t.Fatalf("%s waits for its flow, and nothing will let it go", run)
			}
		case atPaused:
			if f := m.flows[name]; f == nil || f.paused == 0 {
				t.Fatalf("%s waits for its flow to be resumed, which is not paused", run)
			}
		case atKey:
			if m.taken(w.key) == 0 {
				t.Fatalf("%s waits for a place of key %s, and nobody has one", run, w.key)
			}
		}
	}
}

// checkPlaces: each place of a key belongs to a run that goes on, and none is given beyond the largest number allowed.
func (m *machine) checkPlaces(t *rapid.T, s snapshot) {
	if !maps.Equal(s.places, m.places) {
		t.Fatalf("places are %v, want %v", s.places, m.places)
	}
	taken := map[string]int{}
	for run, key := range m.places {
		if m.held[run] == nil && (m.waiting[run] == nil || m.waiting[run].at != atQueue) {
			t.Fatalf("%s has a place of key %s, and neither runs nor is about to", run, key)
		}
		taken[key]++
	}
	const most = 2 // as drawFlow draws it
	for key, count := range taken {
		if count > most {
			t.Fatalf("%d places of key %s are taken, at most %d may be", count, key, most)
		}
	}
}

func (m *machine) checkRuns(t *rapid.T, s snapshot) {
	if ids := sorted(s.records); !slices.Equal(ids, s.byflow) {
		t.Fatalf("runs are %v, by flow they are %v", ids, s.byflow)
	}
	var ended []string
	for _, id := range sorted(s.records) {
		var record struct{ Status store.Status }
		if err := json.Unmarshal([]byte(s.records[id]), &record); err != nil || record.Status != m.runs[id] {
			t.Fatalf("run %s is %s (%v), want %s", id, s.records[id], err, m.runs[id])
		}
		if record.Status.Final() {
			ended = append(ended, id)
		}
	}
	if !slices.Equal(ended, sorted(s.ended)) {
		t.Fatalf("ended are %v, of them listed are %v", ended, sorted(s.ended))
	}
	for id, status := range m.runs {
		if _, kept := s.records[id]; !kept && !status.Final() {
			t.Fatalf("run %s, %s, is gone", id, status)
		} else if !kept {
			delete(m.runs, id)
		}
	}
	if !slices.Equal(sorted(s.cancels), sorted(m.flagged)) {
		t.Fatalf("to be cancelled are %v, want %v", sorted(s.cancels), sorted(m.flagged))
	}
	m.checkDead(t, s)
	for id := range s.logs {
		if _, kept := s.records[id]; !kept {
			t.Fatalf("the log of %s is kept without its run", id)
		}
	}
}

// checkDead: what failed for good is a dead letter until it is as old as the history goes.
func (m *machine) checkDead(t *rapid.T, s snapshot) {
	if !slices.Equal(sorted(s.dead), sorted(s.deadlog)) {
		t.Fatalf("dead are %v, listed %v", sorted(s.dead), sorted(s.deadlog))
	}
	for id := range s.dead {
		if _, known := m.dead[id]; !known {
			t.Fatalf("run %s is dead, and should not be", id)
		}
	}
	for id, since := range m.dead {
		if _, kept := s.dead[id]; !kept && since > m.now()-runTTL.Milliseconds() {
			t.Fatalf("run %s failed for good at %d, and is no dead letter", id, since)
		} else if !kept {
			delete(m.dead, id)
		}
	}
}

func (m *machine) checkBeats(t *rapid.T, s snapshot) {
	if keys := sorted(m.beats); !slices.Equal(sorted(s.beats), keys) || !slices.Equal(s.beatlog, keys) || len(keys) > keptBeats {
		t.Fatalf("beats are %v, logged %v, want %v", sorted(s.beats), s.beatlog, keys)
	}
	for key := range s.drains {
		if m.beats[key] == nil {
			t.Fatalf("beat %s drains and is not known", key)
		}
	}
	for key, want := range m.beats {
		got := s.beats[key]
		_, got.draining = s.drains[key]
		if open := m.open(key); got.beat != *want || got.open != open || got.triggered != open+got.succeeded+got.failed {
			t.Fatalf("beat %s: %+v, want %+v with %d open", key, got, *want, open)
		}
		if over := !got.draining && got.open == 0; got.settled != over {
			t.Fatalf("beat %s is settled: %v; draining %v, open %d", key, got.settled, got.draining, got.open)
		}
		if m.settled[key] && !got.settled {
			t.Fatalf("beat %s was settled and is not any more", key)
		}
		m.settled[key] = got.settled
	}
}

// checkDueToRun compares the one definition of due, in Go, with what Redis lists.
func (m *machine) checkDueToRun(t *rapid.T) { // R3.2
	for _, asOf := range []int64{m.now() - 1000, m.now(), m.now() + 1000} {
		got, err := m.store.DueToRun(m.ctx, m.p, at(asOf), 0)
		if want := m.dueAsOf(0, asOf); err != nil || !slices.Equal(got, want) {
			t.Fatalf("due to run as of %d are %s, %v; want %s", asOf, strings.Join(got, " "), err, strings.Join(want, " "))
		}
	}
}
