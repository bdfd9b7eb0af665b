package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/systole-run/systole/store"
)

// decision is what becomes of the slots due as of a heartbeat: one runs, or none; those before it are missed.
type decision struct {
	run        bool
	slot, next int64
	missed     int64
}

// decide goes through the slots one by one.
func decide(def store.DataFlow, first, asOf int64) decision {
	every := everyOf(def)
	slots := []int64{first}
	past := asOf - slack(every)
	if def.Catchup == store.CatchupAll {
		past = asOf + slack(every)
	}
	for slot := first + every; every > 0 && slot <= past; slot += every {
		slots = append(slots, slot)
	}
	last, all := slots[len(slots)-1], len(slots)
	deadline := int64(def.StartDeadline) / 1e6
	if def.Catchup == store.CatchupNone && deadline == 0 {
		deadline = 60_000
	}
	for len(slots) > 0 && deadline > 0 && asOf-slots[0] > deadline {
		slots = slots[1:]
	}
	after := func(slot int64) int64 {
		if every == 0 {
			return 0
		}
		return slot + every
	}
	if len(slots) == 0 && every > 0 && last+every-slack(every) <= asOf {
		return decision{run: true, slot: last + every, next: last + 2*every, missed: int64(all)} // it has only just come due
	}
	if len(slots) == 0 {
		return decision{next: after(last), missed: int64(all)}
	}
	keep := 1
	if def.Catchup == store.CatchupAll {
		keep = def.CatchupLimit
	}
	slot := slots[max(0, len(slots)-keep)]
	return decision{
		run: true, slot: slot, next: after(slot),
		missed: int64(all - min(len(slots), keep)),
	}
}

// placeAll is what a claim whose answer arrived has to do with what it took: run it as it is, move it to the slot that it
// stands for, have it wait, or end it. It gives the runs under lease that are replaced.
func (m *model) placeAll(tokens []int64) (replaced []string) {
	var todo []*occurrence
	for _, h := range m.held {
		if slices.Contains(tokens, h.token) && m.flows[nameOf(h.run)] != nil {
			todo = append(todo, h)
		}
	}
	slices.SortFunc(todo, func(a, b *occurrence) int { return cmp.Compare(a.token, b.token) })
	var over []over
	sort := func(h *occurrence) (write bool) {
		f := m.flows[nameOf(h.run)]
		h.revision = f.revision
		if e, ended := m.verdict(h, f); ended {
			over = append(over, e)
			return false
		}
		return !m.asItIs(h, f)
	}
	todo = slices.DeleteFunc(todo, func(h *occurrence) bool { return !sort(h) })
	for len(todo) > 0 {
		var again []*occurrence
		for _, h := range todo {
			f := m.flows[nameOf(h.run)]
			switch newer := m.newer(h, f); {
			case m.flagged[h.run] != "":
				h.unbegun = true
				sort(h)
			case f.revision != h.revision: // the flow has moved on, and it is decided anew
				if sort(h) {
					again = append(again, h)
				}
			case newer != "":
				m.flagged[h.run] = "superseded by run " + newer
				h.unbegun = true
				sort(h)
			default:
				replaced = append(replaced, m.place(h, f)...)
			}
		}
		todo = again
	}
	var ended []*occurrence
	for _, o := range over {
		m.end(o.h.run, o.ending)
		ended = append(ended, o.h)
	}
	m.letGo(ended...)
	return replaced
}

// over is a claim that is to be ended.
type over struct {
	h      *occurrence
	ending ending
}

// verdict decides whether a claim is to be ended.
func (m *model) verdict(h *occurrence, f *flow) (over, bool) {
	e := ending{begun: m.now(), at: m.now(), token: fmt.Sprint(h.token)}
	switch why, flagged := m.flagged[h.run]; {
	case flagged:
		e.status, e.why = store.StatusCancelled, why
	case h.crashes >= store.CrashBudget:
		e.status, e.crash = store.StatusFailed, true
	case m.planned(h, f) && !decide(f.def, h.slot, h.asOf).run:
		e.missed = true
	default:
		return over{}, false
	}
	return over{h, e}, true
}

// asItIs reports whether a claim needs no more than it has.
func (m *model) asItIs(h *occurrence, f *flow) bool {
	if f.def.Concurrency != nil || f.def.Overlap == store.OverlapReplace {
		return false
	}
	return !m.planned(h, f) || f.def.Overlap == store.OverlapForbid && decide(f.def, h.slot, h.asOf).slot == h.slot
}

// planned reports whether the slot is one to be decided about: a first attempt at what the flow waits for.
func (m *model) planned(h *occurrence, f *flow) bool {
	return h.slot != 0 && f.slot == h.slot && h.tries == 0
}

// place writes what was decided about one claim.
func (m *model) place(h *occurrence, f *flow) (replaced []string) {
	planned := m.planned(h, f)
	if planned {
		d := decide(f.def, h.slot, h.asOf)
		moved := d.slot != h.slot
		h.slot, h.occurrence = d.slot, fmt.Sprintf("%s/%s@%d", group, f.def.Name, d.slot)
		if moved || f.def.Overlap != store.OverlapForbid {
			f.missed += d.missed
			m.revise(f)
			h.revision = f.revision
			f.slot = d.slot
		}
		if f.def.Overlap != store.OverlapForbid {
			m.goOn(f, h, d.next)
		}
	}
	if f.def.Overlap == store.OverlapReplace {
		if replaced = m.replace(h); len(replaced) > 0 {
			m.giveBack(h)
			h.key, h.max = "", 0
			m.haveWait(h, f, planned, atFlow)
			return replaced
		}
	}
	if !m.takePlace(h, f.def.Concurrency) {
		m.haveWait(h, f, planned, atKey)
	}
	return nil
}

// goOn has a flow that may overlap wait for its next slot.
func (m *model) goOn(f *flow, h *occurrence, next int64) {
	f.slot = next
	if next == 0 || f.paused != 0 {
		return
	}
	score := f.dueAt()
	if f.def.Catchup != store.CatchupAll {
		score = max(score, h.asOf+1)
	}
	m.drainAgain(h, score)
	f.score = score
}

// age is when an occurrence was to be, in µs.
func age(o *occurrence) int64 {
	if o.slot != 0 {
		return o.slot * 1000
	}
	_, suffix, isRun := strings.Cut(o.occurrence, "~")
	if !isRun {
		_, suffix, _ = strings.Cut(o.run, "~")
	}
	micros, _, _ := strings.Cut(suffix, "-")
	n, _ := strconv.ParseInt(micros, 10, 64)
	return n
}

// newer gives a run of a flow with overlap: replace that stands for a later occurrence than this one, and is not to be ended.
func (m *model) newer(h *occurrence, f *flow) string {
	if f.def.Overlap != store.OverlapReplace {
		return ""
	}
	own := *h
	if m.planned(h, f) {
		own.slot = decide(f.def, h.slot, h.asOf).slot
	}
	var found []string
	for _, all := range []map[string]*occurrence{m.held, m.waiting} {
		for _, run := range of(nameOf(h.run), all) {
			if o := all[run]; run != h.run && o.begun() && m.flagged[run] == "" && age(o) > age(&own) {
				found = append(found, run)
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// replace flags everything else of the flow that has begun.
func (m *model) replace(h *occurrence) (leased []string) {
	name := nameOf(h.run)
	for _, run := range of(name, m.held) {
		if run != h.run {
			m.supersede(run, h)
			leased = append(leased, run)
		}
	}
	for _, run := range of(name, m.waiting) {
		if w := m.waiting[run]; w.begun() {
			m.supersede(run, h)
			w.at, w.due = atQueue, 0
		}
	}
	return leased
}

func (m *model) supersede(run string, by *occurrence) {
	if _, flagged := m.flagged[run]; !flagged {
		m.flagged[run] = "superseded by run " + by.run
	}
}

// begun reports whether a pending run stands for an occurrence that was claimed before: its token is of that claim.
func (o *occurrence) begun() bool { return o.token != 0 }

// haveWait takes a claim's lease from it.
func (m *model) haveWait(h *occurrence, f *flow, planned bool, where place) {
	delete(m.held, h.run)
	w := &occurrence{packed: h.packed, at: where}
	w.worker = ""
	m.waiting[h.run] = w
	m.runs[h.run] = store.StatusPending
	if !planned && f.def.Overlap == store.OverlapForbid {
		m.comesDue(f, max(f.dueAt(), h.asOf+1))
	}
	m.unblock(nameOf(h.run))
}

// takePlace gives the run a place of the key; those that wait already go first.
func (m *model) takePlace(h *occurrence, key *store.Concurrency) bool {
	if key == nil {
		key = &store.Concurrency{}
	}
	if h.key != key.Key {
		m.giveBack(h)
		h.key = key.Key
	}
	h.max = key.Max
	if _, has := m.places[h.run]; has || key.Key == "" {
		return true
	}
	if m.firstWaiter(key.Key) != nil || m.taken(key.Key) >= key.Max {
		return false
	}
	m.places[h.run] = key.Key
	return true
}

func (m *model) taken(key string) int {
	count := 0
	for _, of := range m.places {
		if of == key {
			count++
		}
	}
	return count
}

// firstWaiter is what has waited the longest for a place of the key.
func (m *model) firstWaiter(key string) *occurrence {
	var first *occurrence
	for _, run := range sorted(m.waiting) {
		if w := m.waiting[run]; w.at == atKey && w.key == key && (first == nil || w.token < first.token) {
			first = w
		}
	}
	return first
}

// giveBack frees the run's place, for those that wait.
func (m *model) giveBack(h *occurrence) {
	if h.key == "" {
		return
	}
	delete(m.places, h.run)
	m.letIn(h.key)
}

// letIn gives free places of a key to those that have waited the longest.
func (m *model) letIn(key string) {
	for first := m.firstWaiter(key); first != nil; first = m.firstWaiter(key) {
		most := first.max
		if f := m.flows[nameOf(first.run)]; f != nil && f.def.Concurrency != nil && f.def.Concurrency.Key == key {
			most = f.def.Concurrency.Max
		}
		if m.taken(key) >= most {
			return
		}
		m.places[first.run] = key
		first.at = atQueue
	}
}

// unblock lets what waits for the flow compete again: one, or all where they may overlap.
func (m *model) unblock(name string) {
	f := m.flows[name]
	together := f != nil && f.def.Overlap == store.OverlapAllow
	if !together && m.busy(name) {
		return
	}
	for _, run := range of(name, m.waiting) {
		if w := m.waiting[run]; w.at == atFlow {
			w.at = atQueue
			if !together {
				return
			}
		}
	}
}
