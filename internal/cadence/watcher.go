package cadence

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/metric"
	"github.com/systole-run/systole/store"
)

// mostGroups bounds how many groups have metrics of their own; further ones are only logged.
const mostGroups = 100

// maxShare bounds what part of the time goes into reading a group's schedules: one part in so many.
const maxShare = 20

// Config of a Watcher. Zero fields take the default named.
type Config struct {
	Every      time.Duration         // between two looks; default 1m
	Logger     *slog.Logger          // told when a warning comes up, and when it is over; default: discarded
	Registerer prometheus.Registerer // default: metrics are kept but not registered
}

// Watcher looks at every group now and then, and tells in metrics and in the log what does not fit. Redis is asked by the
// Watcher alone: a scrape gets what the last look found. While Redis cannot be asked there is nothing to get.
type Watcher struct {
	cfg   Config
	store Store
	seen  *seen
	known map[string]*group // of the last look, by name
}

// group is what a Watcher remembers of one.
type group struct {
	interval *store.Interval
	again    time.Time // when its schedules are to be read again
	warnings map[string]bool
}

// NewWatcher makes a Watcher.
func NewWatcher(cfg Config, st Store) *Watcher {
	if cfg.Every == 0 {
		cfg.Every = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Watcher{cfg: cfg, store: st, seen: metric.Register(cfg.Registerer, newSeen()), known: make(map[string]*group)}
}

// Run looks at once and then every so often, until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	every := time.NewTicker(w.cfg.Every)
	defer every.Stop()
	for {
		if err := w.Look(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Logger.Warn("heartbeats could not be looked at; it is tried again", logkey.Error, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// Look looks at every group once. It is not for several goroutines at once.
func (w *Watcher) Look(ctx context.Context) error {
	found, err := w.look(ctx)
	if err != nil {
		found = nil // what the last look found may be wrong by now
	}
	w.seen.last.Store(&found)
	return err
}

func (w *Watcher) look(ctx context.Context) ([]watched, error) {
	groups, err := w.store.Status(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]*group, len(groups))
	found := make([]watched, 0, len(groups))
	for _, status := range groups {
		g := w.known[status.Group]
		if g == nil {
			g = &group{warnings: make(map[string]bool)}
		}
		known[status.Group] = g
		c, err := w.lookAt(ctx, g, status)
		if err != nil {
			return nil, err
		}
		w.tell(g, c)
		found = append(found, watched{c, status})
	}
	w.known = known
	return found, nil
}

// lookAt reads the schedules anew only if that is cheap, measured by how long it took the last time.
func (w *Watcher) lookAt(ctx context.Context, g *group, status store.GroupStatus) (Cadence, error) {
	began := time.Now()
	if began.Before(g.again) {
		return look(ctx, w.store, status, g.interval)
	}
	c, err := Look(ctx, w.store, status)
	if err == nil {
		g.interval, g.again = c.Interval, began.Add(maxShare*time.Since(began))
	}
	return c, err
}

// tell logs what is new.
func (w *Watcher) tell(g *group, c Cadence) {
	now := make(map[string]bool)
	for _, warning := range c.Warnings() {
		now[warning.Kind] = true
		if !g.warnings[warning.Kind] {
			w.cfg.Logger.Warn(warning.Text, logkey.Group, c.Group, logkey.Kind, warning.Kind)
		}
	}
	for kind := range g.warnings {
		if !now[kind] {
			w.cfg.Logger.Info("a warning about heartbeats is over", logkey.Group, c.Group, logkey.Kind, kind)
		}
	}
	g.warnings = now
}

// watched is what one look found of a group.
type watched struct {
	Cadence
	status store.GroupStatus
}

// seen gives what the last look found to each scrape, whole.
type seen struct {
	last                   atomic.Pointer[[]watched]
	gap, interval, warning *prometheus.Desc
	backlog, inProgress    *prometheus.Desc
}

func newSeen() *seen {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("systole_"+name, help, append([]string{"group"}, labels...), nil)
	}
	return &seen{
		gap:        desc("beat_usual_gap_seconds", "The gap between two heartbeats that nine of ten of the last 20 did not exceed."),
		interval:   desc("flow_shortest_interval_seconds", "The shortest time between two slots of any flow that waits for heartbeats."),
		backlog:    desc("backlog", "Occurrences that wait for a worker: due by now, or asked for."),
		inProgress: desc("in_progress", "Occurrences that are held under a lease, by any worker."),
		warning:    desc("beat_warning", "1 where the heartbeats of a group do not fit its flows, by what is wrong (never, stopped, slow, fast), else 0.", "warning"),
	}
}

// Describe implements prometheus.Collector.
func (s *seen) Describe(descs chan<- *prometheus.Desc) {
	descs <- s.gap
	descs <- s.interval
	descs <- s.warning
	descs <- s.backlog
	descs <- s.inProgress
}

// Collect implements prometheus.Collector.
func (s *seen) Collect(metrics chan<- prometheus.Metric) {
	last := s.last.Load()
	if last == nil {
		return
	}
	for _, c := range (*last)[:min(len(*last), mostGroups)] {
		gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{c.Group}, labels...)...)
		}
		gauge(s.backlog, float64(c.status.Due+c.status.Queued))
		gauge(s.inProgress, float64(c.status.Running))
		if c.UsualGap != 0 {
			gauge(s.gap, c.UsualGap.Seconds())
		}
		if c.Interval != nil {
			gauge(s.interval, c.Interval.Every.Seconds())
		}
		wrong := make(map[string]float64)
		for _, warning := range c.Warnings() {
			wrong[warning.Kind] = 1
		}
		for _, kind := range Kinds {
			gauge(s.warning, wrong[kind], kind)
		}
	}
}
