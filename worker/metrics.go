package worker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/systole-run/systole/internal/metric"
	"github.com/systole-run/systole/store"
)

// mostLabels bounds how many values of one label are told apart: the rest share the value "other".
const mostLabels = 1000

// metrics of a worker.
type metrics struct {
	running    prometheus.Gauge
	recovered  prometheus.Counter
	leasesLost prometheus.Counter
	claims     *prometheus.CounterVec
	taken      *prometheus.CounterVec
	due        *prometheus.GaugeVec
	gap        *prometheus.GaugeVec
	lateness   *prometheus.GaugeVec
	lastBeat   *prometheus.GaugeVec
	runs       *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	notRun     *prometheus.CounterVec

	flows, groups *metric.Label
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return metric.Register(registerer, prometheus.NewGauge(prometheus.GaugeOpts{Name: "systole_worker_" + name, Help: help}))
	}
	counter := func(name, help string) prometheus.Counter {
		return metric.Register(registerer, prometheus.NewCounter(prometheus.CounterOpts{Name: "systole_worker_" + name, Help: help}))
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return metric.Register(registerer, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "systole_" + name, Help: help}, labels))
	}
	gauges := func(name, help string) *prometheus.GaugeVec {
		return metric.Register(registerer, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "systole_" + name, Help: help}, []string{"group"}))
	}
	return &metrics{
		running:    gauge("running", "Occurrences that this worker holds."),
		recovered:  counter("recovered_total", "Occurrences taken over from a worker whose lease expired."),
		leasesLost: counter("leases_lost_total", "Runs of this worker whose lease was lost."),
		claims:     counters("claims_total", "Claim calls answered.", "group"),
		taken:      counters("claimed_total", "Occurrences claimed.", "group"),
		due:        gauges("due", "Occurrences newly due as of the last heartbeat."),
		lastBeat:   gauges("last_beat_timestamp_seconds", "When the last heartbeat was first seen, by Redis' clock."),
		gap:        gauges("beat_gap_seconds", "Time between the last two heartbeats, by Redis' clock."),
		lateness:   gauges("beat_lateness_seconds", "How long the oldest due slot had waited for the last heartbeat; 0 where nothing was due."),
		runs:       counters("runs_total", "Runs ended, by flow, status and reason.", "group", "flow", "status", "reason"),
		notRun:     counters("slots_not_run_total", "Slots that did not run, by outcome (missed, skipped) and reason.", "group", "outcome", "reason"),
		durations: metric.Register(registerer, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "systole_run_duration_seconds", Help: "How long runs took, by flow and status.",
			Buckets: []float64{.005, .05, .5, 1, 5, 15, 60, 300, 900, 3600},
		}, []string{"group", "flow", "status"})),
		flows: metric.NewLabel(mostLabels), groups: metric.NewLabel(mostLabels),
	}
}

func (m *metrics) beat(group string, accepted store.Accepted) {
	const second = 1000 // in ms
	group = m.groups.Of(group)
	m.due.WithLabelValues(group).Set(float64(accepted.Due))
	m.lastBeat.WithLabelValues(group).Set(float64(accepted.AsOf.UnixMilli()) / second)
	if accepted.GapMS != nil { // the first beat has none
		m.gap.WithLabelValues(group).Set(float64(*accepted.GapMS) / second)
	}
	late := 0.0
	if accepted.LatenessMS != nil {
		late = float64(*accepted.LatenessMS) / second
	}
	m.lateness.WithLabelValues(group).Set(late)
}

func (m *metrics) claimed(group string, count int) {
	group = m.groups.Of(group)
	m.claims.WithLabelValues(group).Inc()
	m.taken.WithLabelValues(group).Add(float64(count))
}

func (m *metrics) slots(group string, part store.SlotRange) {
	m.notRun.WithLabelValues(m.groups.Of(group), part.Outcome, part.Reason).Add(float64(part.Count))
}

func (m *metrics) ended(run store.Run) {
	group, flow := m.groups.Of(run.Group), m.flows.Of(run.Flow)
	m.runs.WithLabelValues(group, flow, string(run.Status), run.Reason).Inc()
	m.durations.WithLabelValues(group, flow, string(run.Status)).Observe(float64(run.DurationMS) / 1000)
}
