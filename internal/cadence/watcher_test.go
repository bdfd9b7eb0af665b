package cadence_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/cadence"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// fixture is a store with a clock that the test drives.
type fixture struct {
	testing.TB
	*store.Store
	client redis.UniversalClient
	prefix string
	now    time.Time
	beats  int
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	client, prefix := testenv.Redis(t)
	return fixtureOn(t, client, prefix)
}

func fixtureOn(t testing.TB, client redis.UniversalClient, prefix string) *fixture {
	t.Helper()
	st, err := store.New(client, store.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{TB: t, Store: st, client: client, prefix: prefix, now: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)}
	f.pass(0)
	return f
}

// pass drives the store's clock, which is the largest time that it has seen.
func (f *fixture) pass(d time.Duration) {
	f.Helper()
	f.now = f.now.Add(d)
	if err := f.client.HSet(f.Context(), f.prefix+":{default/0}:meta", "clock", f.now.UnixMicro()).Err(); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) put(name string, every time.Duration) {
	f.Helper()
	flow := store.DataFlow{Name: name, Every: store.Duration(every), Function: &store.FunctionSpec{Name: "f"}}
	if _, err := f.PutFlow(f.Context(), flow); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) beat() {
	f.Helper()
	f.beats++
	key := fmt.Sprint(f.beats, "-1")
	if _, err := f.AcceptBeat(f.Context(), store.Arrival{Key: key, ID: key, Group: "default", Worker: "w"}); err != nil {
		f.Fatal(err)
	}
}

// look looks at the default group, the only one.
func (f *fixture) look() cadence.Cadence {
	f.Helper()
	status, err := f.Status(f.Context())
	if err != nil || len(status) != 1 {
		f.Fatalf("status %+v, %v", status, err)
	}
	c, err := cadence.Look(f.Context(), f, status[0])
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// gathered gives each value of the Watcher's metrics by name and labels.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetGauge().GetValue()
		}
	}
	return values
}

func TestTheWatcherTellsInMetricsAndOnceInTheLog(t *testing.T) {
	t.Parallel()
	f, registry, log := newFixture(t), prometheus.NewRegistry(), &bytes.Buffer{}
	w := cadence.NewWatcher(cadence.Config{Registerer: registry, Logger: slog.New(slog.NewTextHandler(log, nil))}, f)
	expect := func(kind string, others map[string]float64) {
		t.Helper()
		if err := w.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := maps.Clone(others)
		want["systole_backlog default"], want["systole_in_progress default"] = 1, 0 // one flow, always due
		for _, k := range cadence.Kinds {
			want["systole_beat_warning default "+k] = map[bool]float64{true: 1}[k == kind]
		}
		if got := gathered(t, registry); !maps.Equal(got, want) {
			t.Errorf("gathered %v, want %v", got, want)
		}
	}
	f.put("sync", time.Minute)
	interval := map[string]float64{"systole_flow_shortest_interval_seconds default": 60}
	expect(cadence.Never, interval)
	expect(cadence.Never, interval)
	for range 5 {
		f.beat()
		f.pass(2 * time.Minute)
	}
	both := map[string]float64{"systole_flow_shortest_interval_seconds default": 60, "systole_beat_usual_gap_seconds default": 120}
	expect(cadence.Slow, both)
	for range 20 {
		f.pass(time.Minute)
		f.beat()
	}
	both["systole_beat_usual_gap_seconds default"] = 60
	expect("", both)
	f.pass(4 * time.Minute)
	expect(cadence.Stopped, both)

	for text, times := range map[string]int{
		"has never had a heartbeat": 1, "has a heartbeat every 2m": 1, "had its last heartbeat 4m ago": 1, "is over": 2, "level=WARN": 3,
	} {
		if got := strings.Count(log.String(), text); got != times {
			t.Errorf("the log says %q %d times, want %d\n%s", text, got, times, log)
		}
	}
}

func TestTheWatcherTellsWhatWaitsAndWhatIsHeld(t *testing.T) {
	t.Parallel()
	f, registry := newFixture(t), prometheus.NewRegistry()
	w := cadence.NewWatcher(cadence.Config{Registerer: registry}, f)
	for _, name := range []string{"a", "b", "c"} {
		f.put(name, time.Minute)
	}
	expect := func(backlog, held float64) {
		t.Helper()
		if err := w.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := gathered(t, registry)
		if got["systole_backlog default"] != backlog || got["systole_in_progress default"] != held {
			t.Errorf("gathered %v, want a backlog of %v and %v in progress", got, backlog, held)
		}
	}
	expect(3, 0)
	f.beat()
	if _, err := f.Claimer(f.Partitions("default")[0], "w", time.Hour).Claim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	expect(1, 2)
	if _, err := f.Enqueue(t.Context(), store.RunNow{Group: "default", Flow: "c"}); err != nil {
		t.Fatal(err)
	}
	expect(2, 2)
}

func TestTheWatcherForgetsGroupsThatAreGone(t *testing.T) {
	t.Parallel()
	f, registry := newFixture(t), prometheus.NewRegistry()
	w := cadence.NewWatcher(cadence.Config{Registerer: registry}, f)
	f.put("sync", time.Minute)
	if err := w.Look(t.Context()); err != nil || len(gathered(t, registry)) == 0 {
		t.Fatalf("gathered %v, %v", gathered(t, registry), err)
	}
	if err := f.DeleteFlow(t.Context(), "default", "sync"); err != nil {
		t.Fatal(err)
	}
	if err := w.Look(t.Context()); err != nil || len(gathered(t, registry)) != 0 {
		t.Errorf("gathered %v, %v", gathered(t, registry), err)
	}
}

// What the last look found may be wrong by the time that Redis is back, so it is not told.
func TestTheWatcherTellsNothingWhileRedisIsAwayAndGoesOnAfterwards(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	f, registry := fixtureOn(t, client, "t"), prometheus.NewRegistry()
	f.put("sync", time.Minute)
	w := cadence.NewWatcher(cadence.Config{Registerer: registry, Every: time.Millisecond}, f)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	told := func(want bool) {
		t.Helper()
		deadline := time.After(2 * time.Minute) // it finds what hangs, and measures nothing
		for (len(gathered(t, registry)) > 0) != want {
			select {
			case <-deadline:
				t.Fatalf("metrics are there: %t, want %t", !want, want)
			case <-time.After(time.Millisecond):
			}
		}
	}
	told(true)
	server.Kill()
	told(false)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	told(true)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Reading the schedules of a large group takes a while; that must not become all that the Watcher does.
func TestTheWatcherReadsSchedulesSeldomWhereThatIsSlow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.put("sync", time.Minute)
	slow := &slowStore{fixture: f}
	w := cadence.NewWatcher(cadence.Config{}, slow)
	began := time.Now()
	for range 10 {
		if err := w.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if most := 1 + int(time.Since(began)/(20*slowRead)); slow.reads > most {
		t.Errorf("the schedules were read %d times in a row, want %d", slow.reads, most)
	}
}

// slowRead is how long a slowStore takes for reading schedules: 10 looks at the beats are usually done well before twenty times as much is
// over.
const slowRead = 500 * time.Millisecond

type slowStore struct {
	*fixture
	reads int
}

func (s *slowStore) ShortestInterval(ctx context.Context, group string) (store.Interval, bool, error) {
	s.reads++
	began := time.Now()
	for time.Since(began) < slowRead {
		if _, _, err := s.fixture.ShortestInterval(ctx, group); err != nil {
			return store.Interval{}, false, err
		}
	}
	return s.fixture.ShortestInterval(ctx, group)
}
