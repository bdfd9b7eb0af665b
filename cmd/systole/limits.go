package main

import (
	"errors"
	"fmt"

	"github.com/systole-run/systole/executor/secrets"
	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
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
