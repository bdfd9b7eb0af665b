package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// stand is a Redis and a NATS of the test's own, to which it adds systole processes. Both are configured with the files of
// deploy, so that each role may do what it does there and no more.
type stand struct {
	t        *testing.T
	deployed *testenv.Deployment
	redis    *testenv.RedisServer
	nats     *testenv.NATSServer
	store    *store.Store // as the console has it
	settings []string     // of each role
	daemons  []*daemon
	dir      string // what flows write to
}

func newStand(t *testing.T) *stand {
	t.Helper()
	d := testenv.Deploy(t)
	return standOver(t, d.StartRedis(t), d.StartNATS(t))
}

// standOver is a stand whose servers are configured in another way, and what roles have to be told of that.
func standOver(t *testing.T, redis *testenv.RedisServer, nats *testenv.NATSServer, settings ...string) *stand {
	t.Helper()
	s := &stand{t: t, deployed: testenv.Deploy(t), redis: redis, nats: nats, settings: settings, dir: t.TempDir()}
	var err error
	if s.store, err = store.New(s.deployed.Redis(t, redis, "console"), store.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nobodyWasRefused)
	return s
}

// nobodyWasRefused fails the test if a role has tried what its users of NATS and Redis may not do.
func (s *stand) nobodyWasRefused() {
	for _, d := range s.daemons {
		if said := d.everything(); strings.Contains(said, "Permissions Violation") || strings.Contains(said, "NOPERM") {
			s.t.Errorf("%s tried what it may not do:\n%s", d.name, said)
		}
	}
	ctx := context.Background() // that of the test has ended
	refused, err := s.deployed.Redis(s.t, s.redis, "operator").Do(ctx, "ACL", "LOG").Slice()
	if err != nil || len(refused) > 0 {
		s.t.Errorf("Redis refused %v (%v)", refused, err)
	}
}

// start starts a role on its servers, with settings of its own, and does not wait for it.
func (s *stand) start(role, name string, settings ...string) *daemon {
	s.t.Helper()
	d := spawn(s.t, name, []string{role}, s.environ(role, settings...)...)
	s.daemons = append(s.daemons, d)
	return d
}

// environ is what a role needs to know of the servers, and settings after that.
func (s *stand) environ(role string, settings ...string) []string {
	return slices.Concat(s.deployed.Settings(role), []string{
		"SYSTOLE_REDIS__URL=" + s.redis.URL(), "SYSTOLE_NATS__URL=" + s.nats.URL,
		"SYSTOLE_METRICS__LISTEN=127.0.0.1:0", "SYSTOLE_GATEWAY__LISTEN=127.0.0.1:0", "SYSTOLE_NATS__ACK_TIMEOUT=10s",
	}, s.settings, settings)
}

// workers starts workers named w1, w2, …, with as many slots each, and waits until they hear heartbeats.
func (s *stand) workers(count, slots int, settings ...string) map[string]*daemon {
	s.t.Helper()
	all := make(map[string]*daemon, count)
	for i := range count {
		name := "w" + strconv.Itoa(i+1)
		all[name] = s.worker(name, append([]string{"SYSTOLE_WORKER__CONCURRENCY=" + strconv.Itoa(slots)}, settings...)...)
	}
	for _, w := range all {
		w.awaitReady()
	}
	return all
}

func (s *stand) worker(name string, settings ...string) *daemon {
	s.t.Helper()
	return s.start("worker", name, append([]string{"SYSTOLE_WORKER__ID=" + name}, settings...)...)
}

// gateway starts a gateway and waits until it can publish.
func (s *stand) gateway() *daemon {
	s.t.Helper()
	g := s.start("gateway", "gateway")
	g.awaitReady()
	return g
}

// put makes count flows, name-0 and on, that are due at once and not again within the test. Each runs script, in which $DIR is
// a folder that all share.
func (s *stand) put(name string, count int, script string) {
	s.t.Helper()
	for i := range count {
		s.putFlow(store.DataFlow{Name: flowName(name, i), Exec: s.shell(script)})
	}
}

// flowName names a flow that put makes.
func flowName(name string, i int) string { return fmt.Sprintf("%s-%d", name, i) }

func (s *stand) putFlow(flow store.DataFlow) {
	s.t.Helper()
	if flow.Every == 0 {
		flow.Every = store.Duration(time.Hour)
	}
	if _, err := s.store.PutFlow(s.t.Context(), flow); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) shell(script string) *store.ExecSpec {
	return &store.ExecSpec{Command: []string{"sh", "-c", script}, Env: map[string]string{"DIR": s.dir}}
}

// open lets go on what waits for a file.
func (s *stand) open(gate string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, gate), nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// lines reads a file that flows wrote, one element for each line; nil if there is no such file.
func (s *stand) lines(file string) []string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// publish sends a heartbeat as another system would that has a NATS client and nothing of ours, and gives nothing back.
func (s *stand) publish(payload string) {
	s.t.Helper()
	s.publishMsg(&nats.Msg{Subject: "systole.beat.default", Data: []byte(payload)})
}

func (s *stand) publishMsg(msg *nats.Msg) {
	s.t.Helper()
	nc := s.deployed.NATS(s.t, s.nats.URL, "scheduler")
	defer nc.Close()
	if err := nc.PublishMsg(msg); err != nil {
		s.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
}

// operator is a connection for those who look behind the scenes; no role may do as much.
func (s *stand) operator() *nats.Conn {
	s.t.Helper()
	return s.deployed.NATS(s.t, s.nats.URL, "operator")
}

// beats are all heartbeats that Redis knows, the oldest first.
func (s *stand) beats() []store.BeatView {
	s.t.Helper()
	beats, _, err := s.store.Beats(s.t.Context(), store.DefaultGroup, 1000, "")
	if err != nil {
		s.t.Fatal(err)
	}
	for i, j := 0, len(beats)-1; i < j; i, j = i+1, j-1 {
		beats[i], beats[j] = beats[j], beats[i]
	}
	return beats
}

// settled waits until there are count heartbeats and each has settled.
func (s *stand) settled(count int) []store.BeatView {
	s.t.Helper()
	var beats []store.BeatView
	pollUntil(s.t, fmt.Sprintf("%d beats have settled", count), func() bool {
		settled := 0
		beats = s.beats()
		for _, beat := range beats {
			if beat.SettledAt != nil {
				settled++
			}
		}
		return settled >= count && settled == len(beats)
	})
	return beats
}

// runs are all runs that the filter selects.
func (s *stand) runs(filter store.RunFilter) []store.Run {
	s.t.Helper()
	var all []store.Run
	for {
		filter.Limit = 1000
		page, next, err := s.store.Runs(s.t.Context(), store.DefaultGroup, filter)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, page...)
		if filter.After = next; next == "" {
			return all
		}
	}
}

// awaitRuns waits until exactly so many runs have a status.
func (s *stand) awaitRuns(count int, status store.Status) []store.Run {
	s.t.Helper()
	var runs []store.Run
	pollUntil(s.t, fmt.Sprintf("%d runs are %s", count, status), func() bool {
		runs = s.runs(store.RunFilter{Status: status})
		return len(runs) == count
	})
	return runs
}

// successes counts the successful runs of each flow.
func (s *stand) successes() map[string]int {
	s.t.Helper()
	count := map[string]int{}
	for _, run := range s.runs(store.RunFilter{Status: store.StatusSuccess}) {
		count[run.Flow]++
	}
	return count
}

// now is Redis' clock.
func (s *stand) now() time.Time {
	s.t.Helper()
	now, err := s.store.Now(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return now
}

// pollUntil polls until the condition holds.
func pollUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
