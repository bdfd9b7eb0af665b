package main

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/time/rate"

	"github.com/systole-run/systole/executor/secrets"
	"github.com/systole-run/systole/executor/wasm"
	"github.com/systole-run/systole/executor/webhook"
	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// newSecrets gives what opens secrets to flows, as the settings say.
func (p *process) newSecrets() (*secrets.Secrets, error) {
	cfg := p.cfg.Executor.Secrets
	opened, err := secrets.New(secrets.Config{Dir: cfg.Dir, Allow: cfg.Allow})
	if err != nil {
		return nil, fmt.Errorf("executor.secrets: %w", err)
	}
	return opened, nil
}

// hideSecrets keeps the secrets in this process from the commands that it starts.
func (p *process) hideSecrets() {
	if err := secrets.HideProcess(); err != nil {
		p.log.Warn("commands of flows can read this process's environment", logkey.Error, err)
	}
}

// openModules gives what runs WebAssembly modules, as the settings say; in dev the same to those who check and who run.
func (p *process) openModules() (*wasm.Executor, error) {
	if p.modules != nil {
		return p.modules, nil
	}
	cfg := p.cfg.Executor.WASM
	modules, err := wasm.New(wasm.Config{
		Dir: cfg.Dir, Folders: cfg.Folders, Memory: int64(cfg.Memory), Output: int64(cfg.Output), MaxModule: int64(cfg.MaxModule),
	})
	if err != nil {
		return nil, fmt.Errorf("executor.wasm: %w", err)
	}
	p.modules = modules
	p.onClose(func() { _ = modules.Close() })
	return modules, nil
}

// loopback are the networks of this machine itself.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// httpAllow gives the networks that requests may go to. dev, which is for trying things out, has this machine among them
// unless it is told otherwise.
func (p *process) httpAllow() []netip.Prefix {
	if p.role == config.RoleDev && !p.cfg.Said("executor.http.allow") {
		return loopback
	}
	return p.cfg.Executor.HTTP.Allow
}

// webhookConfig gives the settings of flows of kind http, without callbacks if there is no URL for them. What the settings call 0, the package calls negative.
func (p *process) webhookConfig(callbacks *trigger.Callbacks) webhook.Config {
	cfg := p.cfg.Executor.HTTP
	made := webhook.Config{
		Allow: p.httpAllow(), ConnectTimeout: cfg.ConnectTimeout, MaxConnsPerHost: cfg.MaxConnsPerHost, Rate: rate.Limit(cfg.Rate), Burst: cfg.Burst,
		BreakerFailures: cfg.BreakerFailures, BreakerPause: cfg.BreakerPause, Logger: p.logs.For("executor"),
		Registerer: p.registry,
	}
	if callbacks != nil && (p.role == config.RoleDev || p.cfg.Callback.URL != "") {
		made.Callbacks = callbacks
	}
	if made.Rate == 0 {
		made.Rate = -1
	}
	if made.BreakerFailures == 0 {
		made.BreakerFailures = -1
	}
	return made
}

// flowCheck gives what is checked of a flow before it is stored, beyond its form: as much as this process knows of what
// the workers allow. In dev that is everything. A console knows what its own settings say of the workers; where they say
// nothing, the worker decides, and the run fails at once.
func (p *process) flowCheck() (func(store.DataFlow) error, error) {
	opened, err := p.newSecrets()
	if err != nil {
		return nil, err
	}
	checks := []func(store.DataFlow) error{execPolicy(p.cfg.Executor.Exec).Check}
	switch {
	case p.role == config.RoleDev:
		checks = append(checks, opened.CheckHere)
	case len(p.cfg.Executor.Secrets.Allow) > 0:
		checks = append(checks, opened.Check)
	}
	if p.role == config.RoleDev {
		modules, err := p.openModules()
		if err != nil {
			return nil, err
		}
		checks = append(checks, modules.Check)
	}
	if p.role == config.RoleDev || len(p.cfg.Executor.HTTP.Allow) > 0 {
		checks = append(checks, func(flow store.DataFlow) error { return webhook.CheckAddress(flow, p.httpAllow()) })
	}
	return func(flow store.DataFlow) error { return checkAll(checks, flow) }, nil
}

// checkAll gives what all checks find, as one store.InvalidError.
func checkAll(checks []func(store.DataFlow) error, flow store.DataFlow) error {
	var all store.InvalidError
	for _, check := range checks {
		var found store.InvalidError
		if errors.As(check(flow), &found) {
			all = append(all, found...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
