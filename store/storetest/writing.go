package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/systole-run/systole/store"
)

func (m *machine) complete(t *rapid.T) { m.drawBatch(t, false) }
func (m *machine) release(t *rapid.T)  { m.drawBatch(t, true) }

func (m *machine) drawBatch(t *rapid.T, release bool) {
	claims := m.drawClaims(t, m.drawWorker(t), 4)
	if len(claims) == 0 {
		t.Skip("nothing to end")
	}
	var batch []store.Completion
	for _, c := range claims {
		out := store.Outcome{Status: store.StatusSuccess, Took: time.Second, Log: []byte("output")}
		if rapid.Bool().Draw(t, "fails") {
			out.Status, out.Reason, out.Error, out.Log = store.StatusFailed, store.ReasonError, "boom", nil
		}
		batch = append(batch, store.Completion{Claim: c, Outcome: out})
	}
	if rapid.IntRange(0, 4).Draw(t, "twice") == 0 {
		batch = append(batch, batch[0])
	}
	if rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
		m.lossy.lose = func() {}
	}
	m.writeBatch(t, batch, release)
}

// repeat is a completion or release that was accepted, sent once more.
func (m *machine) repeat(t *rapid.T) {
	if len(m.past) == 0 {
		t.Skip("nothing was written")
	}
	again := m.past[rapid.IntRange(0, len(m.past)-1).Draw(t, "again")]
	m.writeBatch(t, []store.Completion{again.completion}, again.release)
}

// writeBatch completes or releases, and has the model do the same for what it must accept.
func (m *machine) writeBatch(t *rapid.T, batch []store.Completion, release bool) {
	before := take(t, m.client, m.tag)
	write := m.store.Complete
	if release {
		write = m.store.Release
	}
	written, err := write(m.ctx, m.p, batch)
	answers, settled := written.Answers, written.Settled
	if err != nil || len(answers) != len(batch) {
		t.Fatalf("write: %d answers of %d, %v", len(answers), len(batch), err)
	}
	accepted := map[string]bool{}
	var ended []*occurrence
	for _, i := range m.order(batch, release) {
		c := batch[i]
		token := c.Claim.Token
		switch {
		case m.current(c.Claim) != nil:
			accepted[token] = true
			ended = append(ended, m.accepted(t, c, release, batch)...)
			m.mustAnswer(t, c, answers[i], nil)
		case accepted[token]: // twice in one batch
			m.mustAnswer(t, c, answers[i], nil)
		case release && c.Claim.RunNow() && m.handedBack(c):
			// It waits as it was written, and answers the same; or it has gone on since, and the token is stale.
		case m.wroteBefore(c, release) && before.records[c.Claim.RunID] != "":
			if after := take(t, m.client, m.tag); after.records[c.Claim.RunID] == "" {
				continue // this very call made room for newer runs, and its answer may have been lost
			}
			m.mustAnswer(t, c, answers[i], nil)
		default:
			m.mustAnswer(t, c, answers[i], store.ErrStale)
		}
	}
	m.letGo(ended...)
	m.told(t, settled, m.newlySettled(t))
	m.bounded(t, batch, accepted, release)
}

// order is the order in which a batch takes effect: what is to be cancelled is ended after the others were handed back.
func (m *machine) order(batch []store.Completion, release bool) (order []int) {
	for i := range batch {
		order = append(order, i)
	}
	if release {
		slices.SortStableFunc(order, func(a, b int) int {
			return cmp.Compare(min(len(m.flagged[batch[a].Claim.RunID]), 1), min(len(m.flagged[batch[b].Claim.RunID]), 1))
		})
	}
	return order
}

func (m *machine) mustAnswer(t *rapid.T, c store.Completion, got store.Completed, want error) {
	if !errors.Is(got.Err, want) {
		t.Fatalf("write of %s with token %s: %v, want %v; held is %v", c.Claim.RunID, c.Claim.Token, got.Err, want, m.held[c.Claim.RunID])
	}
}

// accepted has the model do what the store must have accepted, and gives what has ended by it.
func (m *machine) accepted(t *rapid.T, c store.Completion, release bool, batch []store.Completion) (ended []*occurrence) {
	run := c.Claim.RunID
	if slices.ContainsFunc(m.past, func(w written) bool { return w.completion.Claim.Token == c.Claim.Token }) {
		t.Fatalf("run %s with token %s was ended before", run, c.Claim.Token)
	}
	why, cancelled := m.flagged[run]
	cancelled = cancelled && release
	if release && !cancelled {
		m.handBack(run)
		m.past = append(m.past, written{c, release})
		return nil
	}
	e := ending{
		def: m.newestDef(c, batch), status: c.Outcome.Status, token: c.Claim.Token,
		begun: c.Claim.StartedAt.UnixMilli(), at: c.Claim.StartedAt.Add(c.Outcome.Took).UnixMilli(),
	}
	if cancelled {
		e.status, e.why = store.StatusCancelled, why
	} else {
		m.past = append(m.past, written{c, release})
	}
	return []*occurrence{m.end(run, e)}
}

// newestDef is the newest definition of the flow that a claim of the batch knows: it says whether there is another attempt
// where the flow itself is gone.
func (m *machine) newestDef(c store.Completion, batch []store.Completion) store.DataFlow {
	def, newest := c.Claim.Flow, m.held[c.Claim.RunID].revision
	for _, other := range batch {
		h := m.current(other.Claim)
		if h != nil && nameOf(h.run) == nameOf(c.Claim.RunID) && h.revision > newest {
			def, newest = other.Claim.Flow, h.revision
		}
	}
	return def
}

func (m *machine) handedBack(c store.Completion) bool {
	return slices.ContainsFunc(m.past, func(w written) bool {
		return w.release && w.completion.Claim.Token == c.Claim.Token
	})
}

// wroteBefore reports whether the very same was accepted before.
func (m *machine) wroteBefore(c store.Completion, release bool) bool {
	for _, w := range m.past {
		same := w.completion.Claim.Token == c.Claim.Token && w.release == release
		was, is := w.completion.Outcome, c.Outcome
		if same && was.Took == is.Took && (release || fmt.Sprint(was) == fmt.Sprint(is)) {
			return true
		}
	}
	return false
}

// newlySettled are the beats that are settled since the last step.
func (m *machine) newlySettled(t *rapid.T) []string {
	beats := take(t, m.client, m.tag).beats
	return slices.DeleteFunc(sorted(beats), func(key string) bool { return !beats[key].settled || m.settled[key] })
}

// told holds the beats that a caller was told of against those that it must be told of.
func (m *machine) told(t *rapid.T, settled []store.BeatView, must []string) {
	ids := map[string]bool{}
	for _, view := range settled {
		ids[view.ID] = true
		if view.SettledAt == nil {
			t.Fatalf("told of beat %s, which is not settled: %+v", view.ID, view)
		}
	}
	for _, key := range must {
		if m.beats[key] != nil && !ids["id-"+key] {
			t.Fatalf("beat %s was settled, told were %v", key, settled)
		}
	}
}

// bounded holds the history of flows that have just ended a run against its bound.
func (m *machine) bounded(t *rapid.T, batch []store.Completion, accepted map[string]bool, release bool) {
	s := take(t, m.client, m.tag)
	for _, c := range batch {
		name, kept := c.Claim.Flow.Name, 0
		for run := range s.records {
			if nameOf(run) == name {
				kept++
			}
		}
		// The run that has just ended stays in any case, so that its completion can be repeated.
		if most := keptRuns + m.openRuns(name) + 1; accepted[c.Claim.Token] && !release && kept > most {
			t.Fatalf("%d runs of %s are kept, at most %d may be", kept, name, most)
		}
	}
}
