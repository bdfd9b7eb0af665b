package trigger

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/systole-run/systole/internal/metric"
)

// httpMetrics counts requests. Every label comes from a fixed set: neither paths nor methods of a client become one.
type httpMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	waiting  prometheus.Gauge
}

func newHTTPMetrics(r prometheus.Registerer) *httpMetrics {
	return &httpMetrics{
		requests: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "systole_http_requests_total",
			Help: "Requests to the gateway, by route (heartbeat, run, callback, other), method (GET, POST, other) and status code.",
		}, []string{"route", "method", "code"})),
		seconds: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "systole_http_request_seconds",
			Help:    "Time to answer a request to the gateway, including the wait that it asked for.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"route", "method"})),
		waiting: metric.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "systole_http_waiting",
			Help: "Requests that wait for their beat to settle.",
		})),
	}
}

func (m *httpMetrics) observe(route, method string, status int, took time.Duration) {
	method = methodClass(method)
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route, method).Observe(took.Seconds())
}

func methodClass(method string) string {
	if method == http.MethodGet || method == http.MethodPost {
		return method
	}
	return "other"
}
