package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// NewStore makes the store under test over a client and a configuration.
type NewStore func(client redis.UniversalClient, cfg store.Config) (*store.Store, error)

// lanes is how many walks go on at once, each over a connection of its own.
const lanes = 4

// Run puts the store that newStore makes through the suite, and tells how many steps that were. The flags of rapid say how
// long: lanes times -rapid.checks walks of about -rapid.steps steps.
func Run(t *testing.T, newStore NewStore) {
	var steps atomic.Int64
	for lane := range lanes {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, counting(&steps, Property(t, newStore)))
		})
	}
	t.Cleanup(func() { t.Logf("walked %d steps", steps.Load()) })
}

// counting adds up the steps of the walks: the suite checks all that Redis holds once after each.
func counting(steps *atomic.Int64, property func(*rapid.T, func())) func(*rapid.T) {
	return func(t *rapid.T) { property(t, func() { steps.Add(1) }) }
}

// Property is the suite as one property, for those who want to look at its failure: a walk that calls stepped after each
// step. It is for one goroutine at a time.
func Property(t testing.TB, newStore NewStore) func(walk *rapid.T, stepped func()) {
	client, prefix := testenv.Redis(t)
	lossy := new(lossyHook)
	client.AddHook(lossy)
	return func(t *rapid.T, stepped func()) {
		m := newMachine(t, client, lossy, testenv.UniqueName(prefix+"-"), newStore)
		defer m.forget()
		actions := m.actions()
		actions[""] = func(t *rapid.T) {
			m.check(t)
			stepped()
		}
		t.Repeat(actions)
	}
}

// Bounds and times of the walk: small, so that it meets them often.
const (
	keptRuns  = 3
	keptBeats = 4
	maxQueued = 6
	runTTL    = 30 * time.Minute
	lease     = 10 * time.Second
	maxLimit  = 5
)

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"put":          m.putFlow,
		"put-many":     m.putMany,
		"change-held":  m.changeHeld,
		"delete":       m.deleteFlow,
		"beat":         m.beat,
		"beat-2":       m.beat, // twice as likely: without beats nothing happens
		"claim":        m.claim,
		"claim-2":      m.claim,
		"renew":        m.renew,
		"complete":     m.complete,
		"complete-2":   m.complete,
		"repeat":       m.repeat,
		"release":      m.release,
		"run-now":      m.enqueue,
		"pause":        m.pauseOrResume,
		"cancel":       m.cancel,
		"time":         m.passTime,
		"crash":        m.crash,
		"take-over":    m.takeOver,
		"stale-writes": m.staleWrites,
		"hand-over":    m.handOver,
	}
}
