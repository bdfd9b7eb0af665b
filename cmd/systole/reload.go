package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/logkey"
)

// reloadOnHangup takes new settings over with each SIGHUP, until ctx ends. Bad ones leave the old ones standing.
func (p *process) reloadOnHangup(ctx context.Context) {
	hangups := p.app.hangups
	if hangups == nil {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGHUP)
		defer signal.Stop(signals)
		hangups = signals
	}
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
	if err == nil {
		err = p.takeOver(next)
	}
	if err != nil {
		p.log.Error("settings not reloaded, the old ones stand", logkey.Error, err)
		return
	}
	atOnce, onRestart := p.cfg.Changed(next)
	p.cfg = next
	p.log.Info("settings reloaded", "changed", strings.Join(atOnce, ", "), "needs_restart", strings.Join(onRestart, ", "))
}

// takeOver brings into force what a running role can change. The old secrets stay out of the log: a client may still
// present one.
func (p *process) takeOver(next config.Config) error {
	key, before := p.listener(p.cfg)
	switch _, after := p.listener(next); {
	case before.Auth.Open() != after.Auth.Open():
		return fmt.Errorf("%s.auth.mode: found %s in place of %s; switching authentication on or off needs a restart", key, after.Auth.Mode, before.Auth.Mode)
	case (before.TLS.CertFile == "") != (after.TLS.CertFile == ""):
		return fmt.Errorf("%s.tls.cert_file: found %q in place of %q; switching TLS on or off needs a restart", key, after.TLS.CertFile, before.TLS.CertFile)
	case p.role == config.RoleDev: // the gateway would take over what the console cannot
		if _, err := p.consoleAuthenticator(after.Auth); err != nil {
			return err
		}
	}
	p.logs.SetSecrets(append(p.cfg.Secrets(), next.Secrets()...))
	for _, reload := range p.reloads {
		if err := reload(next); err != nil {
			return err
		}
	}
	p.logs.SetLevels(next.Log.Level.Slog(), next.Log.Levels.ByComponent())
	return nil
}

// listener gives the settings of the listener that this role's callers come in by; a worker has none.
func (p *process) listener(cfg config.Config) (key string, listener config.Listener) {
	switch p.role {
	case config.RoleGateway, config.RoleDev:
		return "gateway", cfg.Gateway.Listener
	case config.RoleConsole:
		return "console", cfg.Console.Listener
	}
	return "", config.Listener{}
}
