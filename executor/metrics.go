package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/systole-run/systole/store"
)

// measured is a FlowExecutor that counts and times what another one does.
type measured struct {
	next     FlowExecutor
	duration *prometheus.HistogramVec
	running  *prometheus.GaugeVec
}

// Measure decorates next with two metrics: systole_executor_duration_seconds by kind, outcome ("success" or "failed")
// and reason, and systole_executor_running by kind. The labels take only the model's kinds and reasons, so the number
// of series is bounded whatever flows there are. With a nil registerer it gives next as it is.
func Measure(next FlowExecutor, registerer prometheus.Registerer) (FlowExecutor, error) {
	if registerer == nil {
		return next, nil
	}
	m := &measured{
		next: next,
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "systole_executor_duration_seconds",
			Help:    "Time from the start of a run to its end, by kind of flow, outcome and reason.",
			Buckets: []float64{.001, .005, .025, .1, .5, 1, 5, 15, 60, 300, 1800, 7200},
		}, []string{"kind", "outcome", "reason"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "systole_executor_running",
			Help: "Runs going on in this worker, by kind of flow.",
		}, []string{"kind"}),
	}
	if err := errors.Join(registerer.Register(m.duration), registerer.Register(m.running)); err != nil {
		return nil, fmt.Errorf("register executor metrics: %w", err)
	}
	return m, nil
}

// Execute implements FlowExecutor.
func (m *measured) Execute(ctx context.Context, task Task) Result {
	kind := kindLabel(task.Flow.Kind())
	running := m.running.WithLabelValues(kind)
	running.Inc()
	defer running.Dec()
	start := time.Now()
	result := m.next.Execute(ctx, task)
	m.duration.WithLabelValues(kind, outcomeLabel(result), reasonLabel(result)).Observe(time.Since(start).Seconds())
	return result
}

// kindLabel names the kind; DataFlow.Kind is empty for a flow that has not exactly one.
func kindLabel(kind string) string {
	if kind == "" {
		return "unknown"
	}
	return kind
}

func outcomeLabel(result Result) string {
	if result.Err != nil {
		return string(store.StatusFailed)
	}
	return string(store.StatusSuccess)
}

// reasonLabel is empty for a success. A reason that the model does not know, from an executor of someone else's, shares
// one label.
func reasonLabel(result Result) string {
	if result.Err == nil {
		return ""
	}
	switch result.Reason {
	case store.ReasonError, store.ReasonPanic, store.ReasonTimeout, store.ReasonLimit, store.ReasonRefused, store.ReasonLeaseLost, store.ReasonHandedBack:
		return result.Reason
	}
	return "other"
}
