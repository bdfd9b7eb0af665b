package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/systole-run/systole/store"
)

const group = "g"

// start is where the walk's clock begins: in 2096, later than any clock of a machine that runs it.
const start = int64(4_000_000_000_000_000)

// machine walks: it does to the store what workers, users and fate do, and has the model do the same.
type machine struct {
	model

	ctx     context.Context
	client  redis.UniversalClient
	lossy   *lossyHook
	store   *store.Store
	p       store.Partition
	tag     string
	workers []*worker
	serial  int // makes keys of beats and ids of run-nows
	past    []written
	settled map[string]bool // beats that were settled after the last step
}

// worker is one of two. Its claims are what it believes to hold, whether that is so or not.
type worker struct {
	name    string
	claimer *store.Claimer
	claims  map[string]store.Claim // by token
	lost    []int64                // tokens that a claim took whose answer never came
	untold  []string               // beats that this claim settled
}

// written is a completion or release that was accepted, to be repeated.
type written struct {
	completion store.Completion
	release    bool
}

func newMachine(t *rapid.T, client redis.UniversalClient, lossy *lossyHook, prefix string, newStore NewStore) *machine {
	s, err := newStore(client, store.Config{
		Prefix: prefix, RunsPerFlow: keptRuns, Beats: keptBeats, RunTTL: runTTL, MaxQueued: maxQueued,
	})
	if err != nil {
		t.Fatalf("make store: %v", err)
	}
	m := &machine{
		model: newModel(), ctx: context.Background(), client: client, lossy: lossy, store: s,
		p: s.Partitions(group)[0], tag: fmt.Sprintf("%s:{%s/0}:", prefix, group), settled: map[string]bool{},
	}
	m.nowMicros = start
	m.setClock(t)
	for _, name := range []string{"left", "right"} {
		w := &worker{name: name}
		m.restart(w)
		m.workers = append(m.workers, w)
	}
	return m
}

// forget removes what the walk has written.
func (m *machine) forget() {
	m.lossy.lose = nil
	keys := m.client.Scan(m.ctx, 0, m.tag+"*", 10000).Iterator()
	for keys.Next(m.ctx) {
		m.client.Unlink(m.ctx, keys.Val())
	}
}

func (m *machine) setClock(t *rapid.T) {
	if err := m.client.HSet(m.ctx, m.tag+"meta", "clock", m.nowMicros).Err(); err != nil {
		t.Fatalf("set clock: %v", err)
	}
}

// restart is a worker's process beginning anew: it knows of nothing that it held.
func (m *machine) restart(w *worker) {
	w.claimer = m.store.Claimer(m.p, w.name, lease)
	w.claims = map[string]store.Claim{}
	w.lost, w.untold = nil, nil
}

func (m *machine) pass(t *rapid.T, d time.Duration) {
	m.nowMicros += d.Microseconds()
	m.setClock(t)
}

func (m *machine) passTime(t *rapid.T) {
	m.pass(t, rapid.SampledFrom([]time.Duration{
		time.Microsecond, 90 * time.Millisecond, 950 * time.Millisecond, 3 * time.Second, lease, time.Minute, runTTL / 2,
	}).Draw(t, "time"))
}

func (m *machine) crash(t *rapid.T) { m.restart(m.drawWorker(t)) }

func (m *machine) drawWorker(t *rapid.T) *worker {
	return m.workers[rapid.IntRange(0, len(m.workers)-1).Draw(t, "worker")]
}

// Flows: few of them, so that everything happens to the same one.
func drawName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "flow")
}

func (m *machine) putFlow(t *rapid.T) { m.putNamed(t, drawName(t)) }

// changeHeld changes, or puts back, a flow that a run holds.
func (m *machine) changeHeld(t *rapid.T) {
	if len(m.held) == 0 {
		t.Skip("nothing is held")
	}
	m.putNamed(t, nameOf(rapid.SampledFrom(sorted(m.held)).Draw(t, "held")))
}

func (m *machine) putNamed(t *rapid.T, name string) {
	def := drawFlow(t, name)
	got, err := m.store.PutFlow(m.ctx, def)
	if want := m.putAll(def)[0]; err != nil || got != want {
		t.Fatalf("put %s: %s, %v; want %s", def.Name, got, err, want)
	}
}

// putMany puts several flows at once, whether they are there, held, or neither.
func (m *machine) putMany(t *rapid.T) {
	var defs []store.DataFlow
	for _, name := range rapid.Permutation([]string{"a", "b", "c"}).Draw(t, "flows")[:rapid.IntRange(2, 3).Draw(t, "count")] {
		defs = append(defs, drawFlow(t, name))
	}
	got, err := m.store.PutFlows(m.ctx, "", defs)
	if err != nil || len(got) != len(defs) {
		t.Fatalf("put %d flows: %v, %v", len(defs), got, err)
	}
	changes := m.putAll(defs...)
	for i, def := range defs {
		if want := changes[i]; got[i].Result != want || got[i].Name != def.Name {
			t.Fatalf("put %s among others: %+v; want %s", def.Name, got[i], want)
		}
	}
}

func drawFlow(t *rapid.T, name string) store.DataFlow {
	def := store.DataFlow{
		Name: name, Group: group,
		Every:       store.Duration(rapid.SampledFrom([]time.Duration{time.Second, 7 * time.Second, time.Minute, time.Hour, 0}).Draw(t, "every")),
		Description: rapid.SampledFrom([]string{"", "changed"}).Draw(t, "description"),
		Function:    &store.FunctionSpec{Name: "f"},
		Catchup:     rapid.SampledFrom([]store.Catchup{store.CatchupLatest, store.CatchupAll, store.CatchupNone}).Draw(t, "catchup"),
		PauseAfter:  rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "pause after"),
		Overlap: rapid.SampledFrom([]store.Overlap{
			store.OverlapForbid, store.OverlapForbid, store.OverlapAllow, store.OverlapReplace,
		}).Draw(t, "overlap"),
	}
	if rapid.IntRange(0, 2).Draw(t, "concurrency") == 0 {
		def.Concurrency = &store.Concurrency{
			Key: rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key"), Max: rapid.IntRange(1, 2).Draw(t, "max"),
		}
	}
	if def.Catchup == store.CatchupAll {
		def.CatchupLimit = rapid.IntRange(1, 3).Draw(t, "limit")
	}
	if rapid.IntRange(0, 3).Draw(t, "deadline") == 0 {
		def.StartDeadline = store.Duration(5 * time.Second)
	}
	if rapid.Bool().Draw(t, "retry") {
		def.Retry = &store.Retry{Attempts: 3, Initial: store.Duration(time.Second), Factor: 3, Max: store.Duration(2 * time.Second)}
	}
	return def.WithDefaults()
}

func (m *machine) deleteFlow(t *rapid.T) {
	name := drawName(t)
	err := m.store.DeleteFlow(m.ctx, group, name)
	if known := m.flows[name] != nil; (err == nil) != known {
		t.Fatalf("delete %s: %v; is known: %v", name, err, known)
	}
	m.remove(name)
}

func (m *machine) beat(t *rapid.T) {
	w := m.drawWorker(t)
	m.serial++
	key := fmt.Sprintf("%06d-1", m.serial)
	if known := sorted(m.beats); len(known) > 0 && rapid.IntRange(0, 3).Draw(t, "repeated") == 0 {
		key = rapid.SampledFrom(known).Draw(t, "key")
	}
	got, err := m.store.AcceptBeat(m.ctx, store.Arrival{Key: key, ID: "id-" + key, Group: group, Worker: w.name})
	if err != nil {
		t.Fatalf("beat %s: %v", key, err)
	}
	if len(m.flows) == 0 && m.beats[key] == nil {
		if !got.Empty || !got.First || got.Due != 0 || got.Settled == nil {
			t.Fatalf("beat %s of a group without flows: %+v", key, got)
		}
		return
	}
	b := m.beats[key]
	if len(m.flows) == 0 {
		return // it had flows when the beat came
	}
	if b == nil {
		b = m.accept(key, w.name)
	}
	if got.Due != b.due || !got.AsOf.Equal(at(b.asOf)) || got.First != (b.worker == w.name) {
		t.Fatalf("beat %s: due %d as of %s, first %v; want %d as of %s, first brought by %s",
			key, got.Due, got.AsOf, got.First, b.due, at(b.asOf), b.worker)
	}
	m.trimBeats(t)
}

// trimBeats drops from the model what the history no longer holds: only the oldest, and only what is too much.
func (m *machine) trimBeats(t *rapid.T) {
	kept := take(t, m.client, m.tag).beats
	oldest := int64(1 << 62)
	for _, b := range kept {
		oldest = min(oldest, b.asOf)
	}
	for _, key := range sorted(m.beats) {
		if _, ok := kept[key]; ok {
			continue
		}
		if m.beats[key].asOf > oldest || len(kept) < keptBeats {
			t.Fatalf("beat %s as of %d is gone; %d are kept, the oldest as of %d", key, m.beats[key].asOf, len(kept), oldest)
		}
		delete(m.beats, key)
	}
}

func (m *machine) enqueue(t *rapid.T) {
	name := drawName(t)
	ask := store.RunNow{Group: group, Flow: name}
	if rapid.Bool().Draw(t, "params") {
		ask.Params = []byte(`{"x":1}`)
	}
	// The walk makes the ids: what the store makes is random, and no seed would repeat it.
	m.serial++
	ask.ID = fmt.Sprintf("%s~%016d-%d", name, m.nowMicros, m.serial)
	if known := sorted(m.runs); len(known) > 0 && rapid.IntRange(0, 2).Draw(t, "repeated") == 0 {
		ask.ID = rapid.SampledFrom(known).Draw(t, "known")
		ask.Flow = nameOf(ask.ID)
	}
	before := take(t, m.client, m.tag)
	id, err := m.store.Enqueue(m.ctx, ask)
	_, exists := before.records[ask.ID]
	switch {
	case m.flows[ask.Flow] == nil, !exists && m.fresh() >= maxQueued:
		if err == nil {
			t.Fatalf("run-now of %s: accepted, with flow %v and %d waiting", ask.Flow, m.flows[ask.Flow], len(m.waiting))
		}
	case err != nil:
		t.Fatalf("run-now %s of %s: %v", ask.ID, ask.Flow, err)
	case !exists:
		m.waiting[id] = &occurrence{packed: packed{run: id, occurrence: id, attempt: 1}, at: atQueue}
		m.runs[id] = store.StatusPending
	}
}

// fresh counts the run-nows that have not begun.
func (m *machine) fresh() int {
	count := 0
	for _, w := range m.waiting {
		if !w.begun() {
			count++
		}
	}
	return count
}

// pauseOrResume does one or the other to a flow, whether it changes anything or not.
func (m *machine) pauseOrResume(t *rapid.T) {
	name := drawName(t)
	f := m.flows[name]
	if rapid.Bool().Draw(t, "resume") {
		if err := m.store.ResumeFlow(m.ctx, group, name); (err == nil) != (f != nil) {
			t.Fatalf("resume %s: %v", name, err)
		}
		if f != nil {
			m.resume(f)
		}
		return
	}
	if err := m.store.PauseFlow(m.ctx, group, name, "by hand"); (err == nil) != (f != nil) {
		t.Fatalf("pause %s: %v", name, err)
	}
	if f != nil {
		m.pause(f)
	}
}

// cancel asks for any run that is known to be ended.
func (m *machine) cancel(t *rapid.T) {
	if len(m.runs) == 0 {
		t.Skip("there are no runs")
	}
	id := rapid.SampledFrom(sorted(m.runs)).Draw(t, "run")
	status := m.runs[id]
	run, err := m.store.CancelRun(m.ctx, group, id, "by hand")
	switch {
	case status.Final():
		if !errors.Is(err, store.ErrEnded) {
			t.Fatalf("cancel %s, which is %s: %v", id, status, err)
		}
	case err != nil:
		t.Fatalf("cancel %s, which is %s: %v", id, status, err)
	case m.waiting[id] != nil && m.waiting[id].slot == 0 && m.waiting[id].beat == "":
		if run.Status != store.StatusCancelled {
			t.Fatalf("cancel %s, which was pending: it is %s", id, run.Status)
		}
		w := m.waiting[id]
		delete(m.waiting, id)
		delete(m.flagged, id)
		m.runs[id] = store.StatusCancelled
		m.letGo(w)
	default:
		if run.Status != status || !run.CancelRequested {
			t.Fatalf("cancel %s, which is %s: it is %s, asked for: %v", id, status, run.Status, run.CancelRequested)
		}
		m.flagged[id] = "cancelled: by hand"
		if w := m.waiting[id]; w != nil {
			w.at, w.due = atQueue, 0
		}
	}
}

func (m *machine) renew(t *rapid.T) {
	w := m.drawWorker(t)
	claims := m.drawClaims(t, w, 4)
	if len(claims) == 0 {
		t.Skip("nothing to renew")
	}
	held, err := m.store.Renew(m.ctx, m.p, lease, claims)
	if err != nil || len(held) != len(claims) {
		t.Fatalf("renew: %v, %v", held, err)
	}
	for i, c := range claims {
		h := m.current(c)
		want := store.Renewal{Held: h != nil}
		if h != nil {
			want.Cancel = m.flagged[h.run]
		}
		if held[i] != want {
			t.Fatalf("renew %s with token %s: %v, want %v; held is %v", c.RunID, c.Token, held[i], want, m.held[c.RunID])
		}
		if h != nil {
			h.expiry = m.now() + lease.Milliseconds()
		}
	}
}

// current is what the claim holds, nil if its token is not the current one.
func (m *machine) current(c store.Claim) *occurrence {
	if h := m.held[c.RunID]; h != nil && fmt.Sprint(h.token) == c.Token {
		return h
	}
	return nil
}

func (m *machine) drawClaims(t *rapid.T, w *worker, most int) []store.Claim {
	tokens := sorted(w.claims)
	if len(tokens) == 0 {
		return nil
	}
	tokens = rapid.Permutation(tokens).Draw(t, "tokens")[:rapid.IntRange(1, min(most, len(tokens))).Draw(t, "count")]
	var claims []store.Claim
	for _, token := range tokens {
		claims = append(claims, w.claims[token])
	}
	return claims
}
