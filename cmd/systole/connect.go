package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/telemetry"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// connectNATS connects in the background: where the server is away, the role waits for it and needs no restart.
func (p *process) connectNATS() (*nats.Conn, error) {
	options, err := natsOptions(p.cfg.NATS, "systole "+string(p.role))
	if err != nil {
		return nil, err
	}
	told := rate.Sometimes{First: 10, Interval: 10 * time.Second} // a server that refuses does so twice a second
	var failed atomic.Pointer[error]
	options = append(options,
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(500*time.Millisecond),
		nats.IgnoreAuthErrorAbort(), // a password or creds file, each read anew, that is wrong for a while must not end the connection for good
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { p.log.Warn("NATS connection lost", logkey.Error, err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { failed.Store(&err) }),
		nats.ReconnectHandler(func(*nats.Conn) { p.log.Info("NATS connection is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			told.Do(func() { p.log.Warn("NATS", logkey.Error, err) })
		}),
	)
	nc, err := nats.Connect(strings.Join(p.cfg.NATS.URL.Reveal(), ","), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	p.onClose(nc.Close)
	ended := make(chan struct{})
	p.onClose(func() { close(ended) })
	go p.tellOfNATS(nc, &failed, ended)
	return nc, nil
}

// tellOfNATS says in the log why there is no connection, for as long as there is none. The client keeps that to itself: some
// attempts fail by their handler, and those that fail at the TLS handshake by LastError alone.
func (p *process) tellOfNATS(nc *nats.Conn, failed *atomic.Pointer[error], ended <-chan struct{}) {
	for wait := time.Second; ; wait = 10 * time.Second {
		select {
		case <-ended:
			return
		case <-time.After(wait):
		}
		if nc.IsConnected() {
			continue
		}
		err := nc.LastError()
		if attempt := failed.Load(); err == nil && attempt != nil {
			err = *attempt
		}
		p.log.Warn("waiting for NATS", logkey.Error, err)
	}
}

// A link that is cut without a word is noticed after three pings without an answer, which is within a minute.
const natsPing, natsUnanswered = 15 * time.Second, 2

func natsOptions(cfg config.NATS, name string) ([]nats.Option, error) {
	options := []nats.Option{
		nats.Name(name), nats.Timeout(3 * time.Second), nats.PingInterval(natsPing), nats.MaxPingsOutstanding(natsUnanswered),
	}
	if cfg.CredsFile != "" {
		options = append(options, nats.UserCredentials(cfg.CredsFile))
	}
	if cfg.User != "" {
		options = append(options, nats.UserInfoHandler(func() (user, password string) { return cfg.User, cfg.Password.Current() }))
	}
	if cfg.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(cfg.InboxPrefix))
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

// streamConfig is what the settings say of the streams. What they do not say is left to the default of a stream that is made,
// and a stream that exists is left as it is: a role with fewer settings than others takes nothing back.
func streamConfig(cfg config.Config) trigger.StreamConfig {
	n := cfg.NATS
	return trigger.StreamConfig{
		Prefix: n.Prefix, Foreign: !n.MakeStreams,
		BeatTTL: said(cfg, "nats.beat_ttl", n.BeatTTL), Replicas: said(cfg, "nats.replicas", n.Replicas),
		DuplicateWindow: said(cfg, "nats.duplicate_window", n.DuplicateWindow),
		EventTTL:        said(cfg, "nats.event_ttl", n.EventTTL), EventBytes: said(cfg, "nats.event_bytes", int64(n.EventBytes)),
		EventMessages: said(cfg, "nats.event_messages", int64(n.EventMessages)),
		DeadTTL:       said(cfg, "nats.dead_ttl", n.DeadTTL), DeadMessages: said(cfg, "nats.dead_messages", int64(n.DeadMessages)),
	}
}

// said gives the value of a key that some layer sets, and else the zero value.
func said[T any](cfg config.Config, key string, value T) T {
	if !cfg.Said(key) {
		return *new(T)
	}
	return value
}

// openStore makes the store. It connects to nothing yet: see awaitStore.
func (p *process) openStore() (*store.Store, error) {
	st, closeClient, err := newStore(p.cfg, "systole-"+string(p.role), telemetry.ScriptTimes(p.registry))
	if err != nil {
		return nil, err
	}
	p.onClose(closeClient)
	return st, nil
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
	kept := storeConfig(cfg.History, observe)
	kept.Prefix, kept.Partitions = cfg.Redis.Prefix, cfg.Redis.Partitions
	st, err := store.New(client, kept)
	return st, func() { _ = client.Close() }, err
}

// storeConfig is what the settings say of the history.
func storeConfig(cfg config.History, observe func(string, time.Duration, error)) store.Config {
	return store.Config{
		RunsPerFlow: cfg.RunsPerFlow, RunTTL: cfg.RunTTL, DeadLetters: cfg.DeadLetters, Beats: cfg.Beats, Observe: observe,
	}
}

// awaitStore waits for a Redis that is away, and fails on one that is wrong. Health is served meanwhile: a process that
// waits lives.
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
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// unlessEnded gives no error where the process was told to end: then giving up is what it should do.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func natsCheck(nc *nats.Conn) telemetry.Check {
	return telemetry.Check{Name: "nats", Do: func(context.Context) error {
		if !nc.IsConnected() {
			return nats.ErrDisconnected
		}
		return nil
	}}
}

// publisherCheck is natsCheck for who publishes, who has nothing of a connection to a NATS that does not store.
func publisherCheck(beats *trigger.Publisher) telemetry.Check {
	return telemetry.Check{Name: "nats", Do: beats.Ready}
}

func redisCheck(st *store.Store) telemetry.Check { return telemetry.Check{Name: "redis", Do: st.Ping} }
