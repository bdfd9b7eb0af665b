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
	for _, at := range issuersOf(cfg.Gateway.Auth, cfg.Console.Auth) {
		issuers, err := trigger.NewIssuers(trigger.IssuersConfig{CAFile: at.caFile})
		if err == nil {
			err = issuers.Check(ctx, at.name)
		}
		if err != nil {
			findings = append(findings, finding{"warning", fmt.Sprintf("%v; until it answers, whoever brings a JWT of it gets 503", err)})
			continue
		}
		findings = append(findings, finding{"ok", "issuer " + at.name + " gives its keys"})
	}
	return findings
}

// issuer is one that callers may come from, and the file of those who may sign its certificate.
type issuer struct{ name, caFile string }

// issuersOf lists the issuers that callers may come from, each once.
func issuersOf(all ...config.Auth) (issuers []issuer) {
	for _, auth := range all {
		for _, subject := range auth.OIDC.Subjects {
			one := issuer{subject.Issuer, auth.OIDC.CAFile}
			if one.name == "" {
				one.name = auth.OIDC.Issuer
			}
			if !slices.Contains(issuers, one) {
				issuers = append(issuers, one)
			}
		}
	}
	return issuers
}
