package storetest

import (
	"maps"
	"slices"
	"strings"

	"github.com/systole-run/systole/store"
)

// model is what the store has to hold. Times are in ms since 1970 unless their name says µs; 0 is no time.
type model struct {
	nowMicros int64
	token     int64 // the highest that was given
	flows     map[string]*flow
	held      map[string]*holding
	waiting   map[string]waiting // run-nows by run id
	beats     map[string]*beat
	runs      map[string]store.Status
}

// flow is a definition and where it stands. Its slot is in the due set, at score, exactly while nothing holds the flow.
type flow struct {
	def         store.DataFlow
	revision    int
	slot, score int64
	spent       int // attempts lost at the slot
	last        int64
}

// holding is an occurrence under a lease.
type holding struct {
	token           int64
	run, occurrence string
	slot            int64 // 0 for a run-now
	attempt         int
	beat            string
	asOf            int64
	worker          string
	expiry          int64
	revision        int // of the flow, as the worker knows it
}

type waiting struct {
	occurrence string
	attempt    int
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
		beats: map[string]*beat{}, runs: map[string]store.Status{},
	}
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
		f.score = slot - slack(everyOf(def))
	}
}

// put is what PutFlow has to do.
func (m *model) put(def store.DataFlow) store.Change {
	known, every := m.flows[def.Name], everyOf(def)
	if known == nil {
		f := &flow{def: def, revision: 1}
		if every != 0 {
			f.slot, f.score = m.now(), m.now() // the first slot has no slack
		}
		m.flows[def.Name] = f
		return store.FlowCreated
	}
	if known.def.Description == def.Description && known.def.Every == def.Every {
		return store.FlowUnchanged
	}
	same := known.def.Every == def.Every
	known.def = def
	known.revision++
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
		known.wait(next(known.last, m.now(), every), def)
	default:
		known.slot, known.score = m.now(), m.now()
	}
	if known.slot != before {
		known.spent = 0
	}
	return store.FlowChanged
}

// free are the names of the flows that wait for a slot, in the order in which they come due.
func (m *model) free() []string {
	var names []string
	for name, f := range m.flows {
		if m.held[name] == nil && f.slot != 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := m.flows[a].score - m.flows[b].score; d != 0 {
			return int(d)
		}
		return strings.Compare(a, b)
	})
	return names
}

// dueAsOf are the free flows whose slot has come due after one time and as of another, by DueToRun itself.
func (m *model) dueAsOf(after, asOf int64) []string {
	return slices.DeleteFunc(m.free(), func(name string) bool {
		score := m.flows[name].score
		return score <= after || !store.DueToRun(at(score), at(asOf))
	})
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

// end is what an accepted completion has to do.
func (m *model) end(name string, status store.Status) {
	h := m.held[name]
	delete(m.held, name)
	m.runs[h.run] = status
	if b := m.beats[h.beat]; b != nil && status == store.StatusSuccess {
		b.succeeded++
	} else if b != nil {
		b.failed++
	}
	f := m.flows[name]
	if f == nil {
		return
	}
	if h.slot != 0 {
		f.last, f.spent = h.slot, 0
		f.slot = next(h.slot, h.asOf, everyOf(f.def))
	}
	f.wait(f.slot, f.def)
	if h.slot != 0 && f.slot != 0 {
		f.score = max(f.score, h.asOf+1) // one beat never runs two slots of a flow
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
		m.waiting[h.run] = waiting{h.occurrence, h.attempt}
		if f != nil && f.revision == h.revision {
			f.wait(f.slot, def)
		} else if f != nil {
			f.score = f.slot
		}
		return
	}
	m.runs[h.run] = store.StatusCancelled
	if f == nil {
		return
	}
	f.wait(h.slot, def)
	f.spent = h.attempt - 1
	if b := m.beats[h.beat]; b != nil {
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
