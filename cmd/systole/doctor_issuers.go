package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/trigger"
)

// diagnoseIssuers asks each issuer of JWTs for its keys. One that is away is a warning: everybody else is let in.
func diagnoseIssuers(ctx context.Context, cfg config.Config) (findings []finding) {
	issuers := trigger.NewIssuers(trigger.IssuersConfig{})
	for _, name := range issuersOf(cfg.Gateway.Auth, cfg.Console.Auth) {
		if err := issuers.Check(ctx, name); err != nil {
			findings = append(findings, finding{"warning", fmt.Sprintf("%v; until it answers, whoever brings a JWT of it gets 503", err)})
			continue
		}
		findings = append(findings, finding{"ok", "issuer " + name + " gives its keys"})
	}
	return findings
}

// issuersOf lists the issuers that callers may come from, each once.
func issuersOf(all ...config.Auth) (names []string) {
	for _, auth := range all {
		for _, subject := range auth.OIDC.Subjects {
			name := subject.Issuer
			if name == "" {
				name = auth.OIDC.Issuer
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
