package webhook

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"
)

// breakerOpen tells at each scrape which hosts are asked nothing. It has a series for each host that is remembered, at
// most maxHosts, and loses it with the host.
var breakerOpen = prometheus.NewDesc("systole_webhook_breaker_open",
	"1 while a host that only failed is sent no request from this worker, else 0.", []string{"host"}, nil)

// Describe implements prometheus.Collector.
func (h *hosts) Describe(descs chan<- *prometheus.Desc) { descs <- breakerOpen }

// Collect implements prometheus.Collector.
func (h *hosts) Collect(metrics chan<- prometheus.Metric) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, host := range h.byName {
		open := 0.0
		if host.breaker != nil && host.breaker.State() == gobreaker.StateOpen {
			open = 1
		}
		metrics <- prometheus.MustNewConstMetric(breakerOpen, prometheus.GaugeValue, open, name)
	}
}
