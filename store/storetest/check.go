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
		f, holder := m.flows[name], m.held[name]
		got := standingOf(t, s.state[name])
		if holder != nil && holder.slot != 0 {
			got.slot = f.slot // the slot is that of its occurrence
		}
		if got != f.standing {
			t.Fatalf("%s stands at %+v, want %+v", name, got, f.standing)
		}
	}
}

func (m *machine) checkHeld(t *rapid.T, s snapshot) {
	if !slices.Equal(sorted(s.held), sorted(m.held)) {
		t.Fatalf("held are %v, want %v", s.held, m.held)
	}
	for name, want := range m.held {
		got := *s.held[name]
		got.revision = want.revision
		if got != *want {
			t.Fatalf("held is %s, want %s", got, want)
		}
	}
}

func (m *machine) checkWaiting(t *rapid.T, s snapshot) {
	all := slices.Concat(sorted(s.queue), s.blocked)
	for member := range s.due {
		if strings.Contains(member, "~") {
			all = append(all, member)
		}
	}
	slices.Sort(all)
	if !slices.Equal(all, sorted(m.waiting)) {
		t.Fatalf("queued are %v, blocked %v, want %v", sorted(s.queue), s.blocked, sorted(m.waiting))
	}
	for _, run := range s.blocked {
		name := run[:1]
		ahead := slices.ContainsFunc(sorted(s.queue), func(other string) bool { return other[:1] == name })
		if m.held[name] == nil && !ahead {
			t.Fatalf("%s is blocked, and nothing will let it go", run)
		}
	}
	for occurrence := range s.params {
		alive := false
		for _, w := range m.waiting {
			alive = alive || w.occurrence == occurrence
		}
		for _, h := range m.held {
			alive = alive || h.occurrence == occurrence
		}
		if !alive {
			t.Fatalf("parameters of %s are kept, which has ended", occurrence)
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
