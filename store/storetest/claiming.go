package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

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
			h.revision = m.flows[nameOf(h.run)].revision
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
		if replaced := m.placeAll(append(again, fresh...)); !slices.Equal(got.Replaced, replaced) {
			t.Fatalf("claim replaced %v, want %v", got.Replaced, replaced)
		}
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

// stillHeld are the tokens of a claim that the worker never heard of, and that are yet current.
func (m *machine) stillHeld(w *worker) []int64 {
	var tokens []int64
	for run, h := range m.held {
		if slices.Contains(w.lost, h.token) && m.flows[nameOf(run)] != nil {
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
		return true // it was ended, or waits
	})
	if len(got.Claims) != len(tokens) {
		t.Fatalf("claim gave %d claims, taken were %v", len(got.Claims), tokens)
	}
	for _, c := range got.Claims {
		h := m.current(c)
		if h == nil || !slices.Contains(tokens, h.token) {
			t.Fatalf("claim gave %s with token %s; held is %v, taken were %v", c.RunID, c.Token, m.held[c.RunID], tokens)
		}
		if c.RunID != h.run || c.OccurrenceID != h.occurrence || c.Attempt != h.attempt || c.RunNow() != (h.slot == 0) {
			t.Fatalf("claim gave %s, occurrence %s, attempt %d; held is %s", c.RunID, c.OccurrenceID, c.Attempt, h)
		}
		if h.slot != 0 && (c.Slot.UnixMilli() != h.slot || !c.AsOf.IsZero() && c.AsOf.UnixMilli() != h.asOf) {
			t.Fatalf("claim gave slot %s as of %s; held is %s", c.Slot, c.AsOf, h)
		}
		if beat := m.beats[h.beat]; beat != nil && c.BeatID != "id-"+h.beat {
			t.Fatalf("claim of %s gave beat %q, held is %s", c.RunID, c.BeatID, h)
		}
		w.claims[c.Token] = c
	}
}

// observe reads what a claim has taken, and holds each piece against the rules: it is the model's answer to "claim",
// which has no say in the order, but in everything else.
func (m *machine) observe(t *rapid.T, w *worker, limit, again int) (fresh []int64) {
	s := take(t, m.client, m.tag)
	passedOver := m.observeLost(t, s)
	goesOn := false // a flow was taken whose next slot a later beat may cover
	byToken := slices.SortedFunc(maps.Keys(s.held), func(a, b string) int { return cmp.Compare(s.held[a].token, s.held[b].token) })
	for _, run := range byToken {
		h, before := s.held[run], m.held[run]
		if before != nil && before.token == h.token {
			continue
		}
		f := m.flows[nameOf(run)]
		if h.token <= m.token || slices.Contains(fresh, h.token) {
			t.Fatalf("token %d of %s does not rise over %d, %v", h.token, run, m.token, fresh)
		}
		if f == nil || h.worker != w.name || h.expiry != m.now()+lease.Milliseconds() {
			t.Fatalf("taken for %s at %d, flow %v: %s", w.name, m.now(), f, h)
		}
		h.revision, h.taken = f.revision, m.revisions
		if lost := m.lostBy(s, h); lost != nil {
			m.takeExpired(t, lost, h)
		} else if m.waiting[run] != nil {
			m.takeWaiting(t, h)
		} else {
			m.takeDue(t, h)
			goesOn = goesOn || f.def.Overlap != store.OverlapForbid
		}
		if m.runs[run] != store.StatusPending || !h.unbegun {
			m.runs[run] = store.StatusInProgress
		}
		m.held[run] = h
		fresh = append(fresh, h.token)
	}
	if again > 0 && len(fresh) > 0 || len(fresh) > limit {
		t.Fatalf("%d were taken of up to %d, besides %d of before", len(fresh), limit, again)
	}
	m.observeDrains(t, s)
	if again == 0 && len(fresh) < limit {
		m.nothingLeft(t, passedOver, goesOn)
	}
	m.token = max(m.token, slices.Max(append(fresh, 0)))
	return fresh
}

// observeLost ends what belonged to flows that were deleted, and takes over where the claim left what had to wait. It reports
// whether there was any: those use up a claim's limit without a claim.
func (m *machine) observeLost(t *rapid.T, s snapshot) (passedOver bool) {
	for _, run := range sorted(m.held) {
		h := m.held[run]
		if s.held[run] != nil || m.flows[nameOf(run)] != nil {
			continue
		}
		if h.expiry > m.now() {
			t.Fatalf("lost at %d: %s", m.now(), h)
		}
		delete(m.held, run)
		m.runs[run] = store.StatusFailed
		m.drop(h)
		passedOver = true
	}
	for _, run := range sorted(m.waiting) {
		w, now := m.waiting[run], s.waiting[run]
		switch {
		case now == nil && s.held[run] == nil:
			if m.flows[nameOf(run)] != nil {
				t.Fatalf("%s is gone", w)
			}
			delete(m.waiting, run)
			m.runs[run] = store.StatusCancelled
			m.drop(w)
			passedOver = true
		case now != nil && w.at == atFlow && now.at == atQueue:
			w.at, passedOver = atQueue, true // what was ahead of it is left waiting for its flow to be resumed, or is gone
		case now != nil && (now.at == atFlow || now.at == atPaused) && now.at != w.at:
			m.leaveWaiting(t, w, now)
			passedOver = true
		}
	}
	return passedOver
}

// drop forgets an occurrence whose flow is gone.
func (m *machine) drop(o *occurrence) {
	delete(m.flagged, o.run)
	if b := m.beats[o.beat]; b != nil {
		b.failed++
	}
	m.giveBack(o)
}

// leaveWaiting takes over where a run waits that came up and could not run.
func (m *machine) leaveWaiting(t *rapid.T, w, now *occurrence) {
	f := m.flows[nameOf(w.run)]
	switch {
	case now.at == atPaused && (f.paused == 0 || w.slot == 0), now.at == atFlow && f.def.Overlap != store.OverlapForbid, w.at != atQueue && w.at != atDue:
		t.Fatalf("%s is left waiting at %q; its flow is %+v", w, now.at, f)
	case w.at == atDue:
		m.mustDrain(t, w.run, w.due)
		w.asOf = now.asOf
	}
	if b := m.beats[w.beat]; now.at == atPaused {
		if b != nil {
			b.triggered--
		}
		w.beat = ""
	}
	w.at, w.due = now.at, 0
	m.giveBack(w)
	w.key, w.max = "", 0
}

// lostBy finds the run that lost the occurrence to the new one: a run under lease with its occurrence that is gone, or
// itself where it was only taken over.
func (m *machine) lostBy(s snapshot, h *occurrence) *occurrence {
	for run, before := range m.held {
		if run == h.run || s.held[run] == nil && before.occurrence == h.occurrence {
			return before
		}
	}
	return nil
}

func (m *machine) takeExpired(t *rapid.T, before, h *occurrence) {
	if before.expiry > m.now() {
		t.Fatalf("taken over at %d from a live lease: %s, by %s", m.now(), before, h)
	}
	_, flagged := m.flagged[before.run]
	over := flagged || before.crashes+1 >= store.CrashBudget
	want := before.packed
	want.token, want.worker, want.crashes = h.token, h.worker, before.crashes+1
	if !over { // else the same run is taken over, to be ended
		want.run, want.attempt = fmt.Sprintf("%s~%d", nameOf(before.run), h.token), before.attempt+1
		m.runs[before.run] = store.StatusFailed
		if key, has := m.places[before.run]; has {
			delete(m.places, before.run)
			m.places[h.run] = key
		}
	}
	if h.packed != want {
		t.Fatalf("taken over is %s, want %+v", h, want)
	}
	h.unbegun, h.taken = over && before.unbegun, before.taken
	delete(m.held, before.run)
}

func (m *machine) takeWaiting(t *rapid.T, h *occurrence) {
	w, f := m.waiting[h.run], m.flows[nameOf(h.run)]
	if w.at != atQueue && w.at != atDue && !m.unblockedMeanwhile(w) {
		t.Fatalf("taken is %s, which waits at %q", h, w.at)
	}
	delete(m.waiting, h.run)
	_, h.unbegun = m.flagged[h.run]
	want := w.packed
	want.token, want.worker = h.token, h.worker
	if h.unbegun {
		if h.packed != want {
			t.Fatalf("taken to be ended is %s, want %+v", h, want)
		}
		return
	}
	if f.def.Overlap == store.OverlapForbid && m.busy(nameOf(h.run)) || f.paused != 0 && h.slot != 0 {
		t.Fatalf("taken is %s; held are %v, its flow is %+v", h, m.held, f)
	}
	if w.at == atDue {
		m.mustDrain(t, h.run, w.due)
		want.asOf = h.asOf
		if want.beat == "" && h.beat != "" {
			want.beat = h.beat
			m.beats[h.beat].triggered++
		}
	}
	if h.packed != want {
		t.Fatalf("taken is %s, want %+v", h, want)
	}
}

// unblockedMeanwhile reports whether the very call that took the run may have let it into the queue: it dropped what was ahead of it.
func (m *machine) unblockedMeanwhile(w *occurrence) bool {
	return w.at == atFlow && m.flows[nameOf(w.run)] == nil
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

func (m *machine) takeDue(t *rapid.T, h *occurrence) {
	name := nameOf(h.run)
	f, b := m.flows[name], m.beats[h.beat]
	if b == nil || !b.draining || h.asOf != b.asOf {
		t.Fatalf("taken under a beat that does not drain: %s, %+v", h, b)
	}
	if f.paused != 0 || !m.free(name) || !store.DueToRun(at(f.score), at(b.asOf)) { // R3.2
		t.Fatalf("taken early, or beside others; due at %d: %s; its flow is %+v, held are %v", f.score, h, f, m.held)
	}
	want := packed{
		token: h.token, run: fmt.Sprintf("%s~%d", name, h.token), occurrence: fmt.Sprintf("%s/%s@%d", group, name, f.slot),
		slot: f.slot, attempt: 1, beat: h.beat, asOf: b.asOf, worker: h.worker,
	}
	if h.packed != want {
		t.Fatalf("taken is %s, want %+v", h, want)
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
func (m *machine) nothingLeft(t *rapid.T, passedOver, goesOn bool) {
	for _, key := range sorted(m.beats) {
		if m.beats[key].draining && !goesOn {
			t.Fatalf("a claim had room for more, and beat %s still drains", key)
		}
	}
	for _, h := range m.held {
		if h.expiry <= m.now() && !passedOver {
			t.Fatalf("a claim had room for more, and left %s, expired at %d", h, m.now())
		}
	}
	for run, w := range m.waiting {
		if w.at == atQueue && !passedOver {
			t.Fatalf("a claim had room for more, and left %s", run)
		}
	}
}
