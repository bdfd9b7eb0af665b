package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/systole-run/systole/store"
)

// fate is what becomes of the answer to a claim.
type fate int

const (
	answered fate = iota
	repeated      // lost, and the store asks again at once
	lost          // lost for good; the worker may claim again later
)

func (m *machine) claim(t *rapid.T) {
	w := m.drawWorker(t)
	limit := rapid.IntRange(1, maxLimit).Draw(t, "limit")
	m.claimBy(t, w, limit, rapid.SampledFrom([]fate{answered, answered, answered, answered, answered, repeated, lost, lost}).Draw(t, "fate"))
}

func (m *machine) claimBy(t *rapid.T, w *worker, limit int, fate fate) {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	switch fate {
	case repeated:
		m.lossy.lose = func() {}
	case lost:
		m.lossy.lose = cancel
	}
	again := m.stillHeld(w)
	for _, h := range m.held {
		if slices.Contains(again, h.token) {
			h.expiry = m.now() + lease.Milliseconds() // claimed again
		}
	}
	var fresh []int64
	m.lossy.look = func() { fresh = append(fresh, m.observe(t, w, limit, len(again)+len(fresh))...) }
	got, err := w.claimer.Claim(ctx, limit)
	m.lossy.look, m.lossy.at = nil, nil
	if (err != nil) != (fate == lost) || len(got.Broken) > 0 {
		t.Fatalf("claim of up to %d: %v, broken %v", limit, err, got.Broken)
	}
	if fate != lost {
		m.placeAll(append(again, fresh...))
	}
	settled := append(w.untold, m.newlySettled(t)...)
	if fate == lost {
		w.lost, w.untold = append(w.lost, fresh...), settled
		return
	}
	m.told(t, got.Settled, settled)
	w.lost, w.untold = nil, nil
	m.compareClaims(t, w, got, append(again, fresh...))
}

// placeAll has the model decide about what a claim took, and end what is not to be run.
func (m *machine) placeAll(tokens []int64) {
	for _, name := range sorted(m.held) {
		if h := m.held[name]; slices.Contains(tokens, h.token) && m.flows[name] != nil {
			m.place(name)
			m.drainAgain(name, h.beat)
		}
	}
}

// stillHeld are the tokens of a claim that the worker never heard of, and that are yet the current ones of a flow.
func (m *machine) stillHeld(w *worker) []int64 {
	var tokens []int64
	for name, h := range m.held {
		if slices.Contains(w.lost, h.token) && m.flows[name] != nil {
			tokens = append(tokens, h.token)
		}
	}
	return tokens
}

// compareClaims holds the answer against what was taken, and gives the worker its claims.
func (m *machine) compareClaims(t *rapid.T, w *worker, got store.Claimed, tokens []int64) {
	tokens = slices.DeleteFunc(tokens, func(token int64) bool {
		for _, h := range m.held {
			if h.token == token {
				return false
			}
		}
		return true // it was ended
	})
	if len(got.Claims) != len(tokens) {
		t.Fatalf("claim gave %d claims, taken were %v", len(got.Claims), tokens)
	}
	for _, c := range got.Claims {
		h := m.current(c)
		if h == nil || !slices.Contains(tokens, h.token) {
			t.Fatalf("claim gave %s with token %s; held is %v, taken were %v", c.RunID, c.Token, m.held[c.Flow.Name], tokens)
		}
		if c.RunID != h.run || c.OccurrenceID != h.occurrence || c.Attempt != h.attempt || c.RunNow() != (h.slot == 0) {
			t.Fatalf("claim gave %s, occurrence %s, attempt %d; held is %s", c.RunID, c.OccurrenceID, c.Attempt, h)
		}
		if h.slot != 0 && (c.Slot.UnixMilli() != h.slot || c.AsOf.UnixMilli() != h.asOf) {
			t.Fatalf("claim gave slot %s as of %s; held is %s", c.Slot, c.AsOf, h)
		}
		if beat := m.beats[h.beat]; beat != nil && c.BeatID != "id-"+h.beat {
			t.Fatalf("claim of %s gave beat %q, held is %s", c.RunID, c.BeatID, h)
		}
		h.revision = m.flows[c.Flow.Name].revision
		w.claims[c.Token] = c
	}
}

// observe reads what a claim has taken, and holds each piece against the rules: it is the model's answer to "claim",
// which has no say in the order, but in everything else.
func (m *machine) observe(t *rapid.T, w *worker, limit, again int) (fresh []int64) {
	s := take(t, m.client, m.tag)
	passedOver := m.observeLost(t, s)
	for _, name := range sorted(s.held) {
		h, before := s.held[name], m.held[name]
		if before != nil && before.token == h.token {
			continue
		}
		if h.token <= m.token || slices.Contains(fresh, h.token) {
			t.Fatalf("token %d of %s does not rise over %d, %v", h.token, name, m.token, fresh)
		}
		if m.flows[name] == nil || h.worker != w.name || h.expiry != m.now()+lease.Milliseconds() {
			t.Fatalf("taken for %s at %d, flow %v: %s", w.name, m.now(), m.flows[name], h)
		}
		switch {
		case before != nil:
			m.takeExpired(t, name, before, h)
		case h.slot == 0:
			m.takeWaiting(t, name, h)
		default:
			m.takeDue(t, name, h)
		}
		h.revision = m.flows[name].revision
		m.held[name], m.runs[h.run] = h, store.StatusInProgress
		fresh = append(fresh, h.token)
	}
	if again > 0 && len(fresh) > 0 || len(fresh) > limit {
		t.Fatalf("%d were taken of up to %d, besides %d of before", len(fresh), limit, again)
	}
	m.observeDrains(t, s)
	if again == 0 && len(fresh) < limit {
		m.nothingLeft(t, passedOver)
	}
	m.token = max(m.token, slices.Max(append(fresh, 0)))
	return fresh
}

// observeLost ends what belonged to flows that were deleted. It reports whether there was any, or a run-now that had to
// wait for its flow: those use up a claim's limit without a claim.
func (m *machine) observeLost(t *rapid.T, s snapshot) (passedOver bool) {
	for _, name := range sorted(m.held) {
		if s.held[name] != nil {
			continue
		}
		h := m.held[name]
		if m.flows[name] != nil || h.expiry > m.now() {
			t.Fatalf("lost at %d, flow %v: %s", m.now(), m.flows[name], h)
		}
		delete(m.held, name)
		m.runs[h.run] = store.StatusFailed
		delete(m.flagged, h.run)
		if b := m.beats[h.beat]; b != nil {
			b.failed++
		}
		passedOver = true
	}
	for _, run := range sorted(m.waiting) {
		_, queued := s.queue[run]
		_, due := s.due[run]
		blocked := slices.Contains(s.blocked, run)
		if m.flows[run[:1]] == nil && !queued && !due && !blocked {
			delete(m.waiting, run)
			delete(m.flagged, run)
			m.runs[run] = store.StatusCancelled
			passedOver = true
		}
		if w := m.waiting[run]; w.due != 0 && blocked {
			m.mustDrain(t, run, w.due)
			w.due = 0 // its flow was held when it came due
			m.waiting[run] = w
		}
	}
	return passedOver || len(s.blocked) > 0
}

func (m *machine) takeExpired(t *rapid.T, name string, before, h *holding) {
	if before.expiry > m.now() {
		t.Fatalf("taken over at %d from a live lease: %s, by %s", m.now(), before, h)
	}
	over := m.flagged[before.run] || before.crashes+1 >= store.CrashBudget
	attempt := before.attempt + 1
	if over {
		attempt = before.attempt // the same run is taken over, to be ended
	}
	if h.occurrence != before.occurrence || h.attempt != attempt || h.slot != before.slot || h.beat != before.beat || h.crashes != before.crashes+1 {
		t.Fatalf("another occurrence was taken over than was lost: %s, by %s", before, h)
	}
	if same := h.run == before.run; same != over {
		t.Fatalf("taken over as the same run: %v, want %v: %s, by %s", same, over, before, h)
	}
	m.runs[before.run] = store.StatusFailed
}

func (m *machine) takeWaiting(t *rapid.T, name string, h *holding) {
	waited, ok := m.waiting[h.run]
	if !ok || !strings.HasPrefix(h.run, name+"~") || h.occurrence != waited.occurrence || h.attempt != waited.attempt {
		t.Fatalf("nobody asked for run-now %s; waiting are %v", h, m.waiting)
	}
	delete(m.waiting, h.run)
	if h.beat == "" {
		return
	}
	m.mustDrain(t, h.run, waited.due)
	m.beats[h.beat].triggered++
}

// mustDrain holds that a beat drains as of which something is due.
func (m *machine) mustDrain(t *rapid.T, member string, due int64) {
	for _, b := range m.beats {
		if b.draining && store.DueToRun(at(due), at(b.asOf)) {
			return
		}
	}
	t.Fatalf("%s was taken early, due at %d", member, due)
}

func (m *machine) takeDue(t *rapid.T, name string, h *holding) {
	f, b := m.flows[name], m.beats[h.beat]
	if b == nil || !b.draining || h.asOf != b.asOf {
		t.Fatalf("taken under a beat that does not drain: %s, %+v", h, b)
	}
	if !store.DueToRun(at(f.score), at(b.asOf)) { // R3.2
		t.Fatalf("taken early, due at %d: %s", f.score, h)
	}
	if want := fmt.Sprintf("%s/%s@%d", group, name, f.slot); h.occurrence != want || h.slot != f.slot || h.attempt != f.spent+1 {
		t.Fatalf("taken %s, want %s with %d attempts spent", h, want, f.spent)
	}
	for key, other := range m.beats {
		if other.draining && other.asOf < b.asOf && store.DueToRun(at(f.score), at(other.asOf)) {
			t.Fatalf("taken under a later beat than %s as of %d, which covers it: %s", key, other.asOf, h)
		}
	}
	b.triggered++
}

// observeDrains takes over which beats have stopped draining: those as of which nothing is due any more.
func (m *machine) observeDrains(t *rapid.T, s snapshot) {
	for _, key := range sorted(m.beats) {
		b := m.beats[key]
		if _, drains := s.drains[key]; !b.draining || drains {
			continue
		}
		if due := m.dueAsOf(0, b.asOf); len(due) > 0 {
			t.Fatalf("beat %s stopped draining while %v are due as of it", key, due)
		}
		b.draining = false
	}
}

// nothingLeft holds a claim that had room for more against what it could have taken.
func (m *machine) nothingLeft(t *rapid.T, passedOver bool) {
	for _, key := range sorted(m.beats) {
		if m.beats[key].draining {
			t.Fatalf("a claim had room for more, and beat %s still drains", key)
		}
	}
	for name, h := range m.held {
		if h.expiry <= m.now() && !passedOver {
			t.Fatalf("a claim had room for more, and left %s of %s, expired at %d", h, name, m.now())
		}
	}
	for run, w := range m.waiting {
		if m.held[run[:1]] == nil && w.due == 0 && !passedOver {
			t.Fatalf("a claim had room for more, and left run-now %s", run)
		}
	}
}
