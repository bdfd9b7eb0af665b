package storetest

import (
	"cmp"
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
	held      map[string]*occurrence // by the run under lease
	waiting   map[string]*occurrence // by the run that is pending
	places    map[string]string      // run -> the concurrency key of which it has a place
	beats     map[string]*beat
	runs      map[string]store.Status
	flagged   map[string]string // runs that are to be cancelled, and why
	dead      map[string]int64  // runs of occurrences that failed for good, by when they were written
}

// flow is a definition and where it stands. Its slot is in the due set, at score, exactly while it is free and not paused.
type flow struct {
	standing

	def      store.DataFlow
	revision int
	made     int // its first revision
	score    int64
	last     int64
	forbids  int // the revision since which runs must not overlap
}

// occurrence is a piece of work that somebody holds under a lease, or that waits.
type occurrence struct {
	packed

	expiry   int64 // of the lease
	revision int   // of the flow, as the worker knows it
	taken    int   // the newest revision of all when it was claimed
	unbegun  bool  // it waited, and was claimed to be ended
	at       place // where it waits
	due      int64 // when it comes due, if it waits for a beat
}

// place is where a pending run waits.
type place string

const (
	atQueue  place = "queue"  // for a worker
	atDue    place = "due"    // for a beat
	atFlow   place = "flow"   // for runs of its flow to end
	atPaused place = "paused" // for its flow to be resumed
	atKey    place = "key"    // for a place of its concurrency key
)

// beat is a heartbeat; triggered is what was claimed under it.
type beat struct {
	asOf                              int64
	due, triggered, succeeded, failed int
	worker                            string
	draining                          bool
}

func newModel() model {
	return model{
		flows: map[string]*flow{}, held: map[string]*occurrence{}, waiting: map[string]*occurrence{}, places: map[string]string{},
		beats: map[string]*beat{}, runs: map[string]store.Status{}, flagged: map[string]string{}, dead: map[string]int64{},
	}
}

// revise tells states of a flow apart, also where it was deleted and made anew.
func (m *model) revise(f *flow) {
	m.revisions++
	f.revision = m.revisions
}

func (m *model) now() int64 { return m.nowMicros / 1000 }

func nameOf(run string) string { return run[:1] }

// of lists the runs of a flow in order.
func of[V any](name string, all map[string]V) []string {
	return slices.DeleteFunc(sorted(all), func(run string) bool { return nameOf(run) != name })
}

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

// dueAt is when the flow's slot comes due.
func (f *flow) dueAt() int64 { return f.slot - slack(everyOf(f.def)) }

// busy reports whether a run of the flow is under lease.
func (m *model) busy(name string) bool { return len(of(name, m.held)) > 0 }

// free reports whether the flow's slot may be due: nobody works on it, nor on anything of the flow where that must not overlap.
func (m *model) free(name string) bool {
	f := m.flows[name]
	if f.def.Overlap == store.OverlapForbid && m.busy(name) {
		return false
	}
	for _, all := range []map[string]*occurrence{m.held, m.waiting} {
		for _, run := range of(name, all) {
			if f.slot != 0 && all[run].slot == f.slot {
				return false
			}
		}
	}
	return true
}

// comesDue has the flow's slot come due, if it may.
func (m *model) comesDue(f *flow, score int64) {
	if f.slot != 0 && f.paused == 0 && m.free(f.def.Name) {
		f.score = score
	}
}

// due is what waits for a heartbeat, and when it comes due: flows by name, retries by run id.
func (m *model) due() map[string]int64 {
	due := map[string]int64{}
	for name, f := range m.flows {
		if f.slot != 0 && f.paused == 0 && m.free(name) {
			due[name] = f.score
		}
	}
	for run, w := range m.waiting {
		if w.at == atDue {
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

// put is what becomes of one flow that is put.
func (m *model) put(def store.DataFlow) store.Change {
	known, every := m.flows[def.Name], everyOf(def)
	if known == nil {
		f := &flow{def: def}
		m.revise(f)
		f.made, f.forbids = f.revision, f.revision
		if every != 0 {
			f.slot = m.now()
		}
		m.flows[def.Name] = f
		m.comesDue(f, f.slot) // the first slot has no slack
		return store.FlowCreated
	}
	if reflect.DeepEqual(known.def, def) {
		return store.FlowUnchanged
	}
	same := known.def.Every == def.Every
	if !same && !m.workedOn(known) {
		m.reschedule(known, every)
	}
	m.revise(known)
	if known.def.Overlap != def.Overlap {
		known.forbids = known.revision
	}
	known.def = def
	switch {
	case same, known.last != 0:
		m.comesDue(known, known.dueAt())
	default:
		m.comesDue(known, known.slot)
	}
	return store.FlowChanged
}

// putAll is what a call that puts flows has to do: only once all of them are written does it let go of what waits.
func (m *model) putAll(defs ...store.DataFlow) []store.Change {
	changes := make([]store.Change, len(defs))
	for i, def := range defs {
		changes[i] = m.put(def)
	}
	for i, def := range defs {
		if changes[i] == store.FlowUnchanged {
			continue
		}
		m.unblock(def.Name)
		if def.Concurrency != nil {
			m.letIn(def.Concurrency.Key)
		}
	}
	return changes
}

// workedOn reports whether a run under lease works on the slot that the flow waits for.
func (m *model) workedOn(f *flow) bool {
	for _, run := range of(f.def.Name, m.held) {
		if f.slot != 0 && m.held[run].slot == f.slot {
			return true
		}
	}
	return false
}

// reschedule gives the flow the slot of another schedule. What had come due of the old one is missed, unless it is that.
func (m *model) reschedule(f *flow, every int64) {
	was, old := f.slot, everyOf(f.def)
	switch {
	case every == 0:
		f.slot = 0
	case f.last != 0:
		f.slot = next(f.last, m.now(), every)
	default:
		f.slot = m.now()
	}
	for slot := was; was != 0 && f.slot != was && slot <= m.now(); slot += old {
		f.missed++
		if old == 0 {
			break // it was left over from an earlier schedule
		}
	}
}

// remove is what DeleteFlow has to do: what waits is let into the queue, where the claim ends it.
func (m *model) remove(name string) {
	delete(m.flows, name)
	for _, run := range of(name, m.waiting) {
		m.waiting[run].at, m.waiting[run].due = atQueue, 0
	}
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

// open counts what was claimed under a beat and has not ended.
func (m *model) open(key string) int {
	count := 0
	for _, all := range []map[string]*occurrence{m.held, m.waiting} {
		for _, o := range all {
			if o.beat == key {
				count++
			}
		}
	}
	return count
}

// pause and resume are what their names say.
func (m *model) pause(f *flow) {
	if f.paused == 0 {
		f.paused = m.now()
		m.revise(f)
	}
}

func (m *model) resume(f *flow) {
	if f.paused == 0 {
		return
	}
	f.paused, f.failures = 0, 0
	m.revise(f)
	m.comesDue(f, f.dueAt())
	for _, run := range of(f.def.Name, m.waiting) {
		if w := m.waiting[run]; w.at == atPaused {
			w.at, w.due = atDue, m.now()
		}
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
