package storetest

import (
	"pgregory.net/rapid"

	"github.com/systole-run/systole/store"
)

// takeOver is a worker that sleeps past its leases while the other one takes what it can.
func (m *machine) takeOver(t *rapid.T) {
	if len(m.held) == 0 {
		t.Skip("nothing is held")
	}
	m.pass(t, lease)
	m.claimBy(t, m.drawWorker(t), maxLimit, answered)
}

// handOver is a worker that hands a run-now back, which goes on elsewhere as the run that it is, and writes it all the same.
func (m *machine) handOver(t *rapid.T) {
	for i, w := range m.workers {
		for _, token := range sorted(w.claims) {
			if c := w.claims[token]; c.RunNow() && m.current(c) != nil {
				m.writeBatch(t, []store.Completion{{Claim: c}}, true)
				m.check(t)
				m.claimBy(t, m.workers[1-i], maxLimit, answered)
				m.check(t)
				m.staleWrites(t)
				return
			}
		}
	}
	t.Skip("nobody holds a run-now")
}

// staleWrites is a worker that wakes up after its lease was lost, and tries everything that it could do with it.
func (m *machine) staleWrites(t *rapid.T) {
	var stale []store.Claim
	for _, w := range m.workers {
		for _, token := range sorted(w.claims) {
			if m.current(w.claims[token]) == nil {
				stale = append(stale, w.claims[token])
			}
		}
	}
	if len(stale) == 0 {
		t.Skip("nobody has a stale token")
	}
	c := stale[rapid.IntRange(0, len(stale)-1).Draw(t, "claim")]
	batch := []store.Completion{{Claim: c, Outcome: store.Outcome{Status: store.StatusSuccess, Message: "woken"}}}
	if held, err := m.store.Renew(m.ctx, m.p, lease, []store.Claim{c}); err != nil || held[0].Held {
		t.Fatalf("renew %s with stale token %s: %v, %v", c.RunID, c.Token, held, err)
	}
	if err := m.store.Progress(m.ctx, m.p, []store.Output{{Claim: c, Log: []byte("stale")}}); err != nil {
		t.Fatalf("progress: %v", err)
	}
	if log, err := m.store.RunLog(m.ctx, group, c.RunID); err == nil && string(log) == "stale" {
		t.Fatalf("progress of %s was written with stale token %s", c.RunID, c.Token)
	}
	m.writeBatch(t, batch, rapid.Bool().Draw(t, "release"))
}
