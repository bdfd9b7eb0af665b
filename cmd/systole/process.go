package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/telemetry"
	"github.com/systole-run/systole/store"
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

	reloads []func(config.Config) error // what takes new settings over on SIGHUP
	closers []func()
}

// configFlag is the flag that every command that reads settings has.
func (a *app) configFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&a.configFile, "config", "c", "", "YAML file with settings (SYSTOLE_CONFIG)")
}

// loadOptions says where the settings of a command come from.
func (a *app) loadOptions(cmd *cobra.Command, roles ...config.Role) config.Options {
	file := a.configFile
	if file == "" {
		file = os.Getenv("SYSTOLE_CONFIG")
	}
	return config.Options{File: file, Flags: cmd.Flags(), Roles: roles}
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
	for _, note := range cfg.Warnings() {
		p.log.Warn(note)
	}
	endpoint := ""
	if urls := cfg.Tracing.Endpoint.Reveal(); len(urls) > 0 {
		endpoint = urls[0]
	}
	tracer, flush, err := telemetry.NewTracerProvider(cmd.Context(), telemetry.TraceConfig{
		Endpoint: endpoint, Sample: cfg.Tracing.Sample, Service: "systole-" + string(role), Version: version,
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

// connectNATS connects in the background: where the server is away, the role waits for it and needs no restart.
func (p *process) connectNATS() (*nats.Conn, error) {
	options, err := natsOptions(p.cfg.NATS, "systole "+string(p.role))
	if err != nil {
		return nil, err
	}
	options = append(options,
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(500*time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { p.log.Warn("NATS connection lost", logkey.Error, err) }),
		nats.ReconnectHandler(func(*nats.Conn) { p.log.Info("NATS connection is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { p.log.Warn("NATS", logkey.Error, err) }),
	)
	nc, err := nats.Connect(strings.Join(p.cfg.NATS.URL.Reveal(), ","), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	p.onClose(nc.Close)
	return nc, nil
}

func natsOptions(cfg config.NATS, name string) ([]nats.Option, error) {
	options := []nats.Option{nats.Name(name), nats.Timeout(3 * time.Second)}
	if cfg.CredsFile != "" {
		options = append(options, nats.UserCredentials(cfg.CredsFile))
	}
	if cfg.User != "" {
		options = append(options, nats.UserInfo(cfg.User, cfg.Password.Reveal()))
	}
	tls, err := cfg.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("nats.tls: %w", err)
	}
	if tls != nil {
		options = append(options, nats.Secure(tls))
	}
	return options, nil
}

func (p *process) streams() trigger.StreamConfig {
	return trigger.StreamConfig{
		Prefix: p.cfg.NATS.Prefix, BeatTTL: p.cfg.NATS.BeatTTL, Replicas: p.cfg.NATS.Replicas,
		DuplicateWindow: p.cfg.NATS.DuplicateWindow,
	}
}

// openStore makes the store and waits until Redis has passed the check of start-up.
func (p *process) openStore(ctx context.Context) (*store.Store, error) {
	st, closeClient, err := newStore(p.cfg, "systole-"+string(p.role), telemetry.ScriptTimes(p.registry))
	if err != nil {
		return nil, err
	}
	p.onClose(closeClient)
	return st, p.awaitStore(ctx, st)
}

func newStore(cfg config.Config, name string, observe func(string, time.Duration, error)) (*store.Store, func(), error) {
	tls, err := cfg.Redis.TLS.Client()
	if err != nil {
		return nil, nil, fmt.Errorf("redis.tls: %w", err)
	}
	client, err := store.Connect(store.ConnConfig{
		URLs: cfg.Redis.URL.Reveal(), Master: cfg.Redis.Master, Username: cfg.Redis.Username,
		Password: cfg.Redis.Password.Reveal(), TLS: tls, Name: name, PoolSize: cfg.Redis.PoolSize,
	})
	if err != nil {
		return nil, nil, err
	}
	st, err := store.New(client, store.Config{
		Prefix: cfg.Redis.Prefix, Partitions: cfg.Redis.Partitions, RunsPerFlow: cfg.History.RunsPerFlow,
		RunTTL: cfg.History.RunTTL, Beats: cfg.History.Beats, Observe: observe,
	})
	return st, func() { _ = client.Close() }, err
}

// awaitStore waits for a Redis that is away, and fails on one that is wrong.
func (p *process) awaitStore(ctx context.Context, st *store.Store) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		warnings, err := st.Check(bounded)
		cancel()
		for _, warning := range warnings {
			p.log.Warn("Redis: " + warning)
		}
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		p.log.Warn("waiting for Redis", logkey.Error, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
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

// reloadOnHangup takes new settings over with each SIGHUP, until ctx ends. Bad ones leave the old ones standing.
func (p *process) reloadOnHangup(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			p.reload()
		}
	}
}

func (p *process) reload() {
	next, err := config.Load(p.options)
	if err != nil {
		p.log.Error("settings not reloaded, the old ones stand", logkey.Error, err)
		return
	}
	p.logs.SetSecrets(append(p.cfg.Secrets(), next.Secrets()...))
	for _, reload := range p.reloads {
		if err := reload(next); err != nil {
			p.log.Error("settings not reloaded, the old ones stand", logkey.Error, err)
			return
		}
	}
	p.logs.SetLevels(next.Log.Level.Slog(), next.Log.Levels.ByComponent())
	atOnce, onRestart := p.cfg.Changed(next)
	p.cfg = next
	p.log.Info("settings reloaded", "changed", strings.Join(atOnce, ", "), "needs_restart", strings.Join(onRestart, ", "))
}

func natsCheck(nc *nats.Conn) telemetry.Check {
	return telemetry.Check{Name: "nats", Do: func(context.Context) error {
		if !nc.IsConnected() {
			return nats.ErrDisconnected
		}
		return nil
	}}
}

func redisCheck(st *store.Store) telemetry.Check { return telemetry.Check{Name: "redis", Do: st.Ping} }
