package trigger

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/systole-run/systole/internal/metric"
)

// maxGroupLabels bounds how many groups have a label of their own in metrics: group names come from outside.
const maxGroupLabels = 100

type publishMetrics struct {
	outcomes *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newPublishMetrics(r prometheus.Registerer) *publishMetrics {
	return &publishMetrics{
		outcomes: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "systole_publishes_total",
			Help: "Messages published to a stream, by outcome: stored, duplicate, unavailable.",
		}, []string{"stream", "outcome"})),
		seconds: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "systole_publish_seconds",
			Help:    "Time until JetStream acknowledged a message, or the attempt was given up.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12),
		}, []string{"stream"})),
	}
}

func (m *publishMetrics) observe(stream string, ack *jetstream.PubAck, err error, took time.Duration) {
	outcome := "stored"
	switch {
	case err != nil:
		outcome = "unavailable"
	case ack.Duplicate:
		outcome = "duplicate"
	}
	m.outcomes.WithLabelValues(stream, outcome).Inc()
	m.seconds.WithLabelValues(stream).Observe(took.Seconds())
}

type followMetrics struct {
	received *prometheus.CounterVec
	covered  prometheus.Counter
	retries  prometheus.Counter
	ages     *beatAges
}

func newFollowMetrics(r prometheus.Registerer) *followMetrics {
	return &followMetrics{
		received: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "systole_beats_received_total",
			Help: "Heartbeats that this process has seen, by group.",
		}, []string{"group"})),
		covered: metric.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "systole_beats_covered_total",
			Help: "Heartbeats dropped in favour of a newer one of their group.",
		})),
		retries: metric.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "systole_beat_retries_total",
			Help: "Times that handling a heartbeat failed.",
		})),
		ages: metric.Register(r, newBeatAges()),
	}
}

// beat counts a beat that is handed over.
func (m *followMetrics) beat(group string, at time.Time) {
	m.received.WithLabelValues(m.ages.note(group, at)).Inc()
}

// beatAges reports how old the last beat of each group is at the moment of the scrape.
type beatAges struct {
	desc *prometheus.Desc
	mu   sync.Mutex
	last map[string]time.Time
}

func newBeatAges() *beatAges {
	return &beatAges{
		desc: prometheus.NewDesc("systole_beat_age_seconds",
			"Time since the last heartbeat of a group was stored.", []string{"group"}, nil),
		last: make(map[string]time.Time),
	}
}

// note keeps the time of a beat and gives the label of its group.
func (a *beatAges) note(group string, at time.Time) (label string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.last[group]; !known && len(a.last) >= maxGroupLabels {
		group = metric.Other
	}
	if at.After(a.last[group]) {
		a.last[group] = at
	}
	return group
}

// Describe implements prometheus.Collector.
func (a *beatAges) Describe(descs chan<- *prometheus.Desc) { descs <- a.desc }

// Collect implements prometheus.Collector.
func (a *beatAges) Collect(metrics chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for group, at := range a.last {
		age := max(time.Since(at), 0).Seconds()
		metrics <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, age, group)
	}
}

type badMetrics struct {
	messages *prometheus.CounterVec
	lost     prometheus.Counter
}

func newBadMetrics(r prometheus.Registerer) *badMetrics {
	return &badMetrics{
		messages: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "systole_bad_messages_total",
			Help: "Messages that could not be accepted, by subject (beat, run, cancel) and kind of fault.",
		}, []string{"subject", "kind"})),
		lost: metric.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "systole_dead_letters_lost_total",
			Help: "Bad messages that were counted but could not be kept.",
		})),
	}
}
