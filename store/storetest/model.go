package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/systole-run/systole/store"
)

// model is what the store has to hold. Times are in ms since 1970 unless their name says µs; 0 is no time.
type model struct {
	nowMicros int64
	token     int64 // the highest that was given
	revisions int
	flows     map[string]*flow
	held      map[string]*holding
	waiting   map[string]waiting // run-nows by run id
	beats     map[string]*beat
	runs      map[string]store.Status
	flagged   map[string]bool  // runs that are to be cancelled
	dead      map[string]int64 // runs of occurrences that failed for good, by when they were written
}

// flow is a definition and where it stands. Its slot is in the due set, at score, exactly while nothing holds the flow and
// it is not paused.
type flow struct {
	standing // spent: attempts lost at the slot

	def      store.DataFlow
	revision int
	score    int64
	last     int64
}

// holding is an occurrence under a lease.
type holding struct {
	token           int64
	run, occurrence string
	slot            int64 // 0 for a run-now
	attempt         int
	crashes         int // in a row
	beat            string
	asOf            int64
	worker          string
	expiry          int64
	revision        int // of the flow, as the worker knows it
}

type waiting struct {
	occurrence string
	attempt    int
	due        int64 // when it comes due by a heartbeat; 0 for one that waits for none
}

// beat is a heartbeat; triggered is what was claimed under it and not handed back.
type beat struct {
	asOf                              int64
	due, triggered, succeeded, failed int
	worker                            string
	draining                          bool
}

func newModel() model {
	return model{
		flows: map[string]*flow{}, held: map[string]*holding{}, waiting: map[string]waiting{},
		beats: map[string]*beat{}, runs: map[string]store.Status{}, flagged: map[string]bool{}, dead: map[string]int64{},
	}
}

// newRevision tells definitions apart, also where a flow was deleted and made anew.
func (m *model) newRevision() int {
	m.revisions++
	return m.revisions
}

func (m *model) now() int64 { return m.nowMicros / 1000 }

// slack and next are written anew here, a period at a time, to be compared with what the store computes at once.
func slack(every int64) int64 { return min(every/10, 1000) }

func next(slot, asOf, every int64) int64 {
	if every == 0 {
		return 0
	}
	for slot += every; slot <= asOf-slack(every); slot += every {
	}
	return slot
}

func everyOf(def store.DataFlow) int64 { return int64(def.Every) / 1e6 }

// wait makes a flow wait for a slot, with its slack, or for nothing.
func (f *flow) wait(slot int64, def store.DataFlow) {
	f.slot, f.score = slot, 0
	if slot != 0 {
		f.score = f.dueAt(def)
	}
}

// dueAt is when the slot comes due, or the next attempt at it.
func (f *flow) dueAt(def store.DataFlow) int64 {
	if f.spent > 0 && f.retryAt != 0 {
		return f.retryAt
	}
	return f.slot - slack(everyOf(def))
}

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

// put is what PutFlow has to do.
func (m *model) put(def store.DataFlow) store.Change {
	known, every := m.flows[def.Name], everyOf(def)
	if known == nil {
		f := &flow{def: def, revision: m.newRevision()}
		if every != 0 {
			f.slot, f.score = m.now(), m.now() // the first slot has no slack
		}
		m.flows[def.Name] = f
		return store.FlowCreated
	}
	if reflect.DeepEqual(known.def, def) {
		return store.FlowUnchanged
	}
	same := known.def.Every == def.Every
	known.def = def
	known.revision = m.newRevision()
	if holder := m.held[def.Name]; holder != nil && holder.slot != 0 {
		return store.FlowChanged // it keeps the slot that is being worked on
	}
	before := known.slot
	switch {
	case same:
		known.wait(known.slot, def)
	case every == 0:
		known.wait(0, def)
	case known.last != 0:
		known.slot = next(known.last, m.now(), every)
		known.score = known.slot - slack(every)
	default:
		known.slot, known.score = m.now(), m.now()
	}
	if known.slot != before {
		known.spent = 0
	}
	return store.FlowChanged
}

// due is what waits for a heartbeat, and when it comes due: flows by name, run-nows that are to be retried by run id.
func (m *model) due() map[string]int64 {
	due := map[string]int64{}
	for name, f := range m.flows {
		if m.held[name] == nil && f.slot != 0 && f.paused == 0 {
			due[name] = f.score
		}
	}
	for run, w := range m.waiting {
		if w.due != 0 {
			due[run] = w.due
		}
	}
	return due
}

// dueAsOf is what has come due after one time and as of another, by DueToRun itself, in the order in which it came due.
func (m *model) dueAsOf(after, asOf int64) []string {
	due := m.due()
	members := slices.DeleteFunc(sorted(due), func(member string) bool {
		return due[member] <= after || !store.DueToRun(at(due[member]), at(asOf))
	})
	slices.SortStableFunc(members, func(a, b string) int { return cmp.Compare(due[a], due[b]) })
	return members
}

// accept is what a heartbeat that nobody has brought before has to do.
func (m *model) accept(key, worker string) *beat {
	var newest int64
	for _, b := range m.beats {
		if b.draining {
			newest = max(newest, b.asOf)
		}
	}
	b := &beat{asOf: m.now(), worker: worker}
	b.due = len(m.dueAsOf(newest, b.asOf))
	b.draining = len(m.dueAsOf(0, b.asOf)) > 0
	m.beats[key] = b
	return b
}

// open counts the runs that are claimed under a beat and have not ended.
func (m *model) open(key string) int {
	count := 0
	for _, h := range m.held {
		if h.beat == key {
			count++
		}
	}
	return count
}

// ending is how a run ended: by def as its worker knows it, begun and ended by that worker's count.
type ending struct {
	def    store.DataFlow
	status store.Status
	begun  int64
	at     int64
	token  string
	crash  bool
}

// end is what an accepted completion has to do.
func (m *model) end(name string, e ending) {
	h, f := m.held[name], m.flows[name]
	delete(m.held, name)
	delete(m.flagged, h.run)
	m.runs[h.run] = e.status
	if b := m.beats[h.beat]; b != nil && e.status == store.StatusSuccess {
		b.succeeded++
	} else if b != nil {
		b.failed++
	}
	tried := h.attempt - 1 - h.crashes
	if h.slot != 0 {
		tried = 0
		if f != nil && f.spent > 0 {
			tried = f.tries
		}
	}
	var retryAt int64
	if e.status == store.StatusFailed {
		retryAt = m.failed(h.run, f, e, tried)
	}
	if retryAt != 0 && h.slot == 0 && f != nil {
		next := fmt.Sprintf("%s~%s-%d", name, e.token, h.attempt+1)
		m.waiting[next] = waiting{h.occurrence, h.attempt + 1, retryAt}
		m.runs[next] = store.StatusPending
	}
	if f == nil {
		return
	}
	if e.status == store.StatusSuccess {
		f.failures = 0
	}
	if h.slot != 0 {
		m.moveOn(f, h, e, tried, retryAt)
	}
	f.score = m.placed(f, h, e.def)
}

// failed decides whether there is another attempt, and gives when, or 0.
func (m *model) failed(run string, f *flow, e ending, tried int) int64 {
	if r := e.def.Retry; r != nil && !e.crash && tried+1 < r.Attempts {
		wait := int64(r.Initial) / 1e6
		for range tried {
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

// moveOn has the flow wait for the slot after the one that was held, or for another attempt at it. What a heartbeat found
// due while the flow was held is skipped, unless every slot is to be caught up.
func (m *model) moveOn(f *flow, h *holding, e ending, tried int, retryAt int64) {
	f.last = h.slot
	if retryAt != 0 {
		f.slot, f.spent, f.tries, f.retryAt = h.slot, h.attempt, tried+1, retryAt
		return
	}
	waited := f.spent > 0
	f.ran++
	f.tries, f.retryAt, f.spent, f.slot = 0, 0, 0, 0
	every := everyOf(e.def)
	if every == 0 {
		return
	}
	f.slot = h.slot + every
	if e.def.Catchup == store.CatchupAll {
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
	dueAt := f.slot - slack(every)
	if !waited {
		dueAt = max(dueAt, h.asOf+1)
	}
	for dueAt <= newest {
		f.skipped++
		f.slot += every
		dueAt = f.slot - slack(every)
	}
}

// placed is when the flow comes due again. One beat never runs two slots of a flow that does not catch up.
func (m *model) placed(f *flow, h *holding, def store.DataFlow) int64 {
	switch {
	case f.slot == 0:
		return 0
	case f.spent > 0, def.Catchup == store.CatchupAll && h.slot != 0, h.asOf == 0:
		return f.dueAt(def)
	}
	return max(f.dueAt(def), h.asOf+1)
}

// place is what a claim has to do with an occurrence that it took, and whose answer arrived: it is run as it is, moved to
// the slot that it stands for, or ended.
func (m *model) place(name string) {
	h, f := m.held[name], m.flows[name]
	switch {
	case m.flagged[h.run]:
		m.end(name, ending{def: f.def, status: store.StatusCancelled, begun: m.now(), at: m.now()})
		return
	case h.crashes >= store.CrashBudget:
		m.end(name, ending{def: f.def, status: store.StatusFailed, begun: m.now(), at: m.now(), crash: true, token: fmt.Sprint(h.token)})
		return
	case h.slot == 0 || f.spent > 0:
		return
	}
	d := decide(f.def, h.slot, h.asOf)
	f.missed += d.missed
	if d.run {
		h.slot, h.occurrence = d.slot, fmt.Sprintf("%s/%s@%d", group, name, d.slot)
		f.slot = d.slot
		return
	}
	delete(m.held, name)
	delete(m.runs, h.run)
	if b := m.beats[h.beat]; b != nil {
		b.triggered--
	}
	f.slot = d.next
	f.score = m.placed(f, h, f.def)
}

// drainAgain has a beat drain again as of which a slot is due that is to be caught up.
func (m *model) drainAgain(name, key string) {
	f, b := m.flows[name], m.beats[key]
	if f != nil && b != nil && m.held[name] == nil && f.slot != 0 && f.paused == 0 && f.score <= b.asOf {
		b.draining = true
	}
}

// pause and resume are what their names say; both tell whether anything changes.
func (m *model) pause(f *flow) {
	if f.paused == 0 {
		f.paused = m.now()
		f.revision = m.newRevision()
	}
}

func (m *model) resume(f *flow) {
	if f.paused != 0 {
		f.paused, f.failures = 0, 0
		f.revision = m.newRevision()
		if f.slot != 0 {
			f.score = f.dueAt(f.def)
		}
	}
}

// handBack is what an accepted release has to do; def is the definition as the worker knows it.
func (m *model) handBack(name string, def store.DataFlow) {
	h := m.held[name]
	delete(m.held, name)
	if b := m.beats[h.beat]; b != nil {
		b.triggered--
	}
	f := m.flows[name]
	if h.slot == 0 {
		m.runs[h.run] = store.StatusPending
		m.waiting[h.run] = waiting{h.occurrence, h.attempt, 0}
		if f != nil && f.revision == h.revision {
			f.wait(f.slot, def)
		} else if f != nil {
			f.score = f.slot
		}
		return
	}
	m.runs[h.run] = store.StatusCancelled
	delete(m.flagged, h.run)
	if f == nil {
		return
	}
	f.slot, f.score = h.slot, h.slot-slack(everyOf(def))
	f.spent = h.attempt - 1
	if b := m.beats[h.beat]; b != nil && f.paused == 0 {
		b.draining = true
	}
}

// openRuns counts a flow's runs that are not final.
func (m *model) openRuns(name string) int {
	count := 0
	for run, status := range m.runs {
		if strings.HasPrefix(run, name+"~") && !status.Final() {
			count++
		}
	}
	return count
}

func sorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
