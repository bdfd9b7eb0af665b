package storetest

import (
	"fmt"
	"strings"

	"github.com/systole-run/systole/store"
)

// ending is how a run ended: by def as its worker knows it, where the flow is gone; begun and ended by that worker's count.
type ending struct {
	def    store.DataFlow
	status store.Status
	begun  int64
	at     int64
	token  string
	crash  bool
	why    string // of a cancellation
	missed bool   // the slot is not to be run at all
}

// end is what an accepted completion has to do, but for letGo.
func (m *model) end(run string, e ending) *occurrence {
	h, f := m.held[run], m.flows[nameOf(run)]
	orphan := f != nil && h.revision < f.made
	owns := f != nil && h.slot != 0 && f.slot == h.slot
	delete(m.held, run)
	if f != nil {
		e.def = f.def
	}
	if e.missed {
		m.passOver(f, h, owns)
		return h
	}
	m.runs[run] = e.status
	if b := m.beats[h.beat]; b != nil && e.status == store.StatusSuccess {
		b.succeeded++
	} else if b != nil {
		b.failed++
	}
	if orphan {
		m.leaveAlone(run, f, h, e, owns)
		return h
	}
	var retryAt int64
	if e.status == store.StatusFailed {
		retryAt = m.failed(run, f, h, e)
	}
	if retryAt != 0 && f != nil {
		m.tryLater(h, e, retryAt)
	}
	delete(m.flagged, run)
	if f == nil {
		return h
	}
	if e.status == store.StatusSuccess {
		f.failures = 0
	}
	if h.slot != 0 && retryAt == 0 {
		m.account(f, h, e)
		if owns {
			m.moveOn(f, h, e)
		}
	}
	m.revise(f)
	if retryAt == 0 || !owns {
		m.placeAfter(f, h, owns)
	}
	return h
}

// leaveAlone is the end of a run whose flow was deleted and made anew.
func (m *model) leaveAlone(run string, f *flow, h *occurrence, e ending, owns bool) {
	if e.status == store.StatusFailed {
		m.dead[run] = m.now()
	}
	delete(m.flagged, run)
	m.revise(f)
	m.placeAfter(f, h, owns)
}

// letGo is what ends that were written together make of others: places of concurrency keys, and what waits for a flow, which
// is let go once however many of the flow's runs have ended.
func (m *model) letGo(ended ...*occurrence) {
	unblocked := make(map[string]bool)
	for _, h := range ended {
		m.giveBack(h)
		if name := nameOf(h.run); !unblocked[name] {
			unblocked[name] = true
			m.unblock(name)
		}
	}
}

// passOver ends a slot that came too late.
func (m *model) passOver(f *flow, h *occurrence, owns bool) {
	delete(m.runs, h.run)
	delete(m.flagged, h.run)
	if b := m.beats[h.beat]; b != nil {
		b.triggered--
	}
	if f == nil || !owns {
		return
	}
	d := decide(f.def, h.slot, h.asOf)
	f.missed += d.missed
	f.slot = d.next
	if d.run {
		f.slot = d.slot // the definition has changed since
	}
	m.revise(f)
	m.placeAfter(f, h, true)
}

// failed decides whether there is another attempt, and gives when, or 0.
func (m *model) failed(run string, f *flow, h *occurrence, e ending) int64 {
	if r := e.def.Retry; r != nil && !e.crash && h.tries+1 < r.Attempts {
		wait := int64(r.Initial) / 1e6
		for range h.tries {
			wait *= int64(r.Factor)
		}
		return e.at + min(wait, int64(r.Max)/1e6)
	}
	m.dead[run] = m.now()
	if f != nil {
		f.failures++
		if f.paused == 0 && (e.crash || e.def.PauseAfter > 0 && f.failures >= e.def.PauseAfter) {
			f.paused = e.at
		}
	}
	return 0
}

// tryLater has the occurrence wait for its next attempt. A run that was to be cancelled leaves that to it.
func (m *model) tryLater(h *occurrence, e ending, retryAt int64) {
	w := &occurrence{packed: h.packed, at: atDue, due: retryAt}
	w.run = fmt.Sprintf("%s~%s-0%d", nameOf(h.run), e.token, h.attempt+1)
	w.attempt, w.tries, w.crashes = h.attempt+1, h.tries+1, 0
	w.beat, w.asOf, w.key, w.max, w.worker = "", 0, "", 0, ""
	if why, flagged := m.flagged[h.run]; flagged {
		m.flagged[w.run] = why
		w.at, w.due = atQueue, 0
	}
	m.waiting[w.run] = w
	m.runs[w.run] = store.StatusPending
}

// account records the slot's outcome.
func (m *model) account(f *flow, h *occurrence, e ending) {
	if e.status == store.StatusCancelled && strings.HasPrefix(e.why, store.ReasonSuperseded) && h.unbegun && h.attempt == 1 {
		f.skipped++
		return
	}
	f.last = h.slot
	f.ran++
}

// moveOn has the flow wait for the slot after the one that was held. What a heartbeat found due while the flow was held is
// skipped, unless every slot is to be caught up, or it may overlap.
func (m *model) moveOn(f *flow, h *occurrence, e ending) {
	every := everyOf(f.def)
	f.slot = 0
	if every == 0 {
		return
	}
	f.slot = h.slot + every
	if f.def.Catchup == store.CatchupAll || f.def.Overlap != store.OverlapForbid {
		return
	}
	newest := h.asOf
	if f.paused == 0 {
		for _, b := range m.beats {
			if b.asOf > e.begun {
				newest = max(newest, b.asOf)
			}
		}
	}
	dueAt := f.dueAt()
	if h.tries == 0 {
		dueAt = max(dueAt, h.asOf+1)
	}
	for dueAt <= newest {
		f.skipped++
		f.slot += every
		dueAt = f.dueAt()
	}
}

// placeAfter says when the flow comes due again after an end. One beat never runs two slots of a flow that does not catch up.
func (m *model) placeAfter(f *flow, h *occurrence, owns bool) {
	if f.slot == 0 || f.paused != 0 || !owns && f.def.Overlap != store.OverlapForbid {
		return
	}
	score := max(f.dueAt(), h.asOf+1)
	if owns && f.def.Catchup == store.CatchupAll {
		score = f.dueAt()
	}
	m.drainAgain(h, score)
	m.comesDue(f, score)
}

// drainAgain has a beat drain again as of which a slot is due that is to be caught up.
func (m *model) drainAgain(h *occurrence, score int64) {
	if b := m.beats[h.beat]; b != nil && score <= h.asOf {
		b.draining = true
	}
}

// handBack is what an accepted release has to do.
func (m *model) handBack(run string) {
	h, f := m.held[run], m.flows[nameOf(run)]
	owns := f != nil && h.slot != 0 && f.slot == h.slot
	delete(m.held, run)
	w := &occurrence{packed: h.packed, at: atQueue}
	w.worker = ""
	if h.slot != 0 {
		m.runs[run] = store.StatusCancelled
		w.run = fmt.Sprintf("%s~%d-0%d", nameOf(run), h.token, h.attempt)
		if key, has := m.places[run]; has {
			delete(m.places, run)
			m.places[w.run] = key
		}
	}
	m.waiting[w.run] = w
	m.runs[w.run] = store.StatusPending
	if f != nil && f.def.Overlap == store.OverlapForbid {
		switch {
		case f.revision != h.revision:
			m.comesDue(f, f.slot)
		case !owns:
			m.comesDue(f, max(f.dueAt(), h.asOf+1))
		}
	}
	m.unblock(nameOf(run))
}
