package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"github.com/systole-run/systole/executor/wasm"
	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/telemetry"
	"github.com/systole-run/systole/trigger"
)

// process is what every role has: settings, telemetry, and what to close in the end.
type process struct {
	app      *app
	role     config.Role
	options  config.Options
	cfg      config.Config
	logs     *telemetry.Logs
	log      *slog.Logger
	registry *prometheus.Registry
	tracer   trace.TracerProvider
	modules  *wasm.Executor // once it is opened

	issuers   *trigger.Issuers // see issuersTrusting
	issuersCA string

	reloads []func(config.Config) error // what takes new settings over on SIGHUP
	closers []func()
}

// configFlag is the flag that every command that reads settings has.
func (a *app) configFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.configFile, "config", "c", "", "YAML file with settings (SYSTOLE_CONFIG)")
}

// loadOptions says where the settings of a command come from.
func (a *app) loadOptions(cmd *cobra.Command, roles ...config.Role) config.Options {
	return config.Options{
		File: cmp.Or(a.configFile, a.getenv("SYSTOLE_CONFIG")), Environ: a.settingsEnviron, Flags: cmd.Flags(), Roles: roles,
	}
}

// open reads the settings of a role and sets up its telemetry.
func (a *app) open(cmd *cobra.Command, role config.Role) (*process, error) {
	options := a.loadOptions(cmd, role)
	cfg, err := config.Load(options)
	if err != nil {
		return nil, err
	}
	p := &process{app: a, role: role, options: options, cfg: cfg, registry: telemetry.NewRegistry(version)}
	p.logs = telemetry.NewLogs(a.err, telemetry.LogConfig{
		Format: cfg.Log.Format, Level: cfg.Log.Level.Slog(), Levels: cfg.Log.Levels.ByComponent(), Secrets: cfg.Secrets(),
	})
	p.log = p.logs.For(string(role))
	a.redisLog(p.logs.For("redis"))
	for _, note := range cfg.Warnings() {
		p.log.Warn(note)
	}
	endpoint := ""
	if urls := cfg.Tracing.Endpoint.Reveal(); len(urls) > 0 {
		endpoint = urls[0]
	}
	tracer, flush, err := telemetry.NewTracerProvider(cmd.Context(), telemetry.TraceConfig{
		Endpoint: endpoint, Sample: cfg.Tracing.Sample, Service: "systole-" + string(role), Version: version,
		Logger: p.logs.For("tracing"),
	})
	if err != nil {
		return nil, err
	}
	p.tracer = tracer
	p.onClose(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = flush(ctx)
	})
	return p, nil
}

func (p *process) onClose(f func()) { p.closers = append(p.closers, f) }

// close ends what was opened, the last first.
func (p *process) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}

// server makes a listener and says where it listens.
func (p *process) server(component string, cfg trigger.ServerConfig, handler http.Handler) (*trigger.Server, error) {
	cfg.Logger = p.logs.For(component)
	server, err := trigger.NewServer(cfg, handler)
	if err != nil {
		return nil, err
	}
	cfg.Logger.Info("listening", logkey.Listen, server.URL())
	return server, nil
}

// metricsServer serves health and metrics on their own listener, or gives nil where that is turned off.
func (p *process) metricsServer(checks ...telemetry.Check) (*trigger.Server, error) {
	if p.cfg.Metrics.Listen == "" {
		return nil, nil
	}
	return p.server("metrics", trigger.ServerConfig{Listen: p.cfg.Metrics.Listen}, telemetry.Handler(p.registry, checks...))
}
