package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/systole-run/systole/internal/metric"
)

// checkWithin bounds one readiness check.
const checkWithin = 2 * time.Second

// Check is something that a process needs to do its work. Do gives nil if that is there, and may be called from several
// goroutines at once.
type Check struct {
	Name string
	Do   func(ctx context.Context) error
}

// NewRegistry makes the registry of a process, with what Go and the operating system tell of it.
func NewRegistry(version string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "systole_build_info", Help: "Always 1; the label is the version.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return registry
}

// ScriptTimes gives a function that records how long each script call of the store took.
func ScriptTimes(registerer prometheus.Registerer) func(script string, took time.Duration, err error) {
	times := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "systole_store_script_seconds", Help: "How long calls of the store's scripts took, repeats included.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .1, .5, 2.5},
	}, []string{"script", "outcome"})
	registerer.MustRegister(times)
	return func(script string, took time.Duration, err error) {
		outcome := "ok"
		if err != nil {
			outcome = "error"
		}
		times.WithLabelValues(script, outcome).Observe(took.Seconds())
	}
}

// checkUp tells at each scrape what the checks say.
var checkUp = prometheus.NewDesc("systole_check_up", "1 if what this process needs (nats, redis, heartbeats) is there, else 0.", []string{"check"}, nil)

// checked does the checks of /readyz for a scrape.
type checked []Check

// Describe implements prometheus.Collector.
func (c checked) Describe(descs chan<- *prometheus.Desc) { descs <- checkUp }

// Collect implements prometheus.Collector.
func (c checked) Collect(metrics chan<- prometheus.Metric) {
	for name, passed := range results(context.Background(), c) {
		up := map[bool]float64{true: 1}[passed]
		metrics <- prometheus.MustNewConstMetric(checkUp, prometheus.GaugeValue, up, name)
	}
}

// Handler serves /healthz (the process lives), /readyz (its checks pass) and /metrics, which has them as well, to GET
// and HEAD.
func Handler(registry *prometheus.Registry, checks ...Check) http.Handler {
	metric.Register(registry, checked(checks))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, checks) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	return mux
}

// ready answers with what the checks say. It names those that fail, and not why: errors may tell more than a stranger should know.
func ready(w http.ResponseWriter, r *http.Request, checks []Check) {
	status, words := http.StatusOK, make(map[string]string, len(checks))
	for name, passed := range results(r.Context(), checks) {
		words[name] = "ok"
		if !passed {
			words[name] = "failed"
			status = http.StatusServiceUnavailable
		}
	}
	word := map[bool]string{true: "ready", false: "not ready"}[status == http.StatusOK]
	answer(w, status, map[string]any{"status": word, "checks": words})
}

// results runs the checks side by side and tells which passed, within checkWithin.
func results(ctx context.Context, checks []Check) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	answers := make([]chan error, len(checks))
	for i, check := range checks {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- check.Do(ctx) }()
	}
	found := make(map[string]bool, len(checks))
	for i, check := range checks {
		found[check.Name] = passed(ctx, answers[i])
	}
	return found
}

// passed waits for one answer, and no longer than ctx: a check that does not listen to its ctx has failed, and the
// others are told apart from it.
func passed(ctx context.Context, answer <-chan error) bool {
	select {
	case err := <-answer:
		return err == nil
	case <-ctx.Done():
	}
	select { // both may have been there
	case err := <-answer:
		return err == nil
	default:
		return false
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
