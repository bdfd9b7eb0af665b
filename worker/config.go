package worker

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/trigger"
)

// Config of a worker. Zero fields take the default named.
type Config struct {
	ID           string               // names the worker in run records; default host name and a random part
	Groups       []string             // groups whose beats it follows; default all
	Streams      trigger.StreamConfig // prefix of the NATS subjects, and how streams that are gone are made anew
	Concurrency  int                  // occurrences it holds at once; default 16
	Batch        int                  // most it claims in one call, 1 to 100; default 50
	Lease        time.Duration        // how long a claim holds without renewal, 1s to 1h; default 30s
	DrainTimeout time.Duration        // how long runs may go on after shutdown began; default 25s; negative for none
	LogBytes     int                  // of a run's output that are kept; default 64 KiB

	Logger         *slog.Logger          // default: nothing is logged
	Registerer     prometheus.Registerer // default: metrics are kept but not registered
	TracerProvider trace.TracerProvider  // default: no traces
}

// idPattern is what a worker may be called: it stands in packed records and in metrics.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$`)

func (c Config) withDefaults() (Config, error) {
	if c.ID == "" {
		c.ID = defaultID()
	}
	if c.Concurrency == 0 {
		c.Concurrency = 16
	}
	if c.Batch == 0 {
		c.Batch = 50
	}
	if c.Lease == 0 {
		c.Lease = 30 * time.Second
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 25 * time.Second
	}
	if c.LogBytes == 0 {
		c.LogBytes = executor.DefaultLogBytes
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.TracerProvider == nil {
		c.TracerProvider = tracenoop.NewTracerProvider()
	}
	return c, c.validate()
}

func (c Config) validate() error {
	switch {
	case !idPattern.MatchString(c.ID):
		return fmt.Errorf("worker config: ID: found %q, allowed are 1 to 127 of letters, digits and . _ -", c.ID)
	case c.Concurrency < 1:
		return fmt.Errorf("worker config: Concurrency: found %d, allowed is 1 or more", c.Concurrency)
	case c.Batch < 1 || c.Batch > 100:
		return fmt.Errorf("worker config: Batch: found %d, allowed is 1 to 100", c.Batch)
	case c.Lease < time.Second || c.Lease > time.Hour:
		return fmt.Errorf("worker config: Lease: found %s, allowed is 1s to 1h", c.Lease)
	case c.LogBytes < 0:
		return fmt.Errorf("worker config: LogBytes: found %d, allowed is 0 or more", c.LogBytes)
	}
	return nil
}

// defaultID is the host's name with a random part, so that two workers on one host differ.
func defaultID() string {
	host, err := os.Hostname()
	if err != nil || !idPattern.MatchString(host) {
		host = "worker"
	}
	if len(host) > 100 {
		host = host[:100]
	}
	return host + "-" + strings.ToLower(rand.Text()[:6])
}
