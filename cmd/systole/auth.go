package main

import (
	"fmt"
	"net/http"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/trigger"
)

func (p *process) accessOf(listener config.Listener) (trigger.Access, error) {
	auth, err := p.authenticator(listener.Auth)
	return trigger.Access{Auth: auth, AllowAnonymous: listener.Auth.Open(), Allow: listener.Allow}, err
}

// consoleAuthenticator is authenticator for the admin API, which has no memory of signed requests. In dev it shares its
// settings with the gateway.
func (p *process) consoleAuthenticator(auth config.Auth) (*trigger.Authenticator, error) {
	return p.authenticator(auth.Without(config.AuthHMAC))
}

// authenticator gives nil where everybody is let in.
func (p *process) authenticator(auth config.Auth) (*trigger.Authenticator, error) {
	if auth.Open() {
		return nil, nil
	}
	var cfg trigger.AuthConfig
	if auth.Has(config.AuthToken) {
		cfg.Tokens = tokens(auth.Tokens)
	}
	if auth.Has(config.AuthHMAC) {
		cfg.HMAC = &trigger.HMACConfig{Keys: tokens(auth.HMAC.Keys), Window: auth.HMAC.Window}
	}
	if auth.Has(config.AuthOIDC) {
		issuers, err := p.issuersTrusting(auth.OIDC.CAFile)
		if err != nil {
			return nil, err
		}
		cfg.OIDC = &trigger.OIDCConfig{Issuer: auth.OIDC.Issuer, Audience: auth.OIDC.Audience, ClockSkew: auth.OIDC.ClockSkew, Issuers: issuers}
		for _, subject := range auth.OIDC.Subjects {
			cfg.OIDC.Subjects = append(cfg.OIDC.Subjects, trigger.OIDCSubject(subject))
		}
	}
	if auth.Has(config.AuthMTLS) {
		cfg.MTLS = &trigger.MTLSConfig{CAFile: auth.MTLS.CAFile, Logger: p.logs.For("trigger")}
		for _, subject := range auth.MTLS.Subjects {
			cfg.MTLS.Subjects = append(cfg.MTLS.Subjects, trigger.CertSubject(subject))
		}
	}
	made, err := trigger.NewAuthenticatorOf(cfg)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return made, nil
}

// issuersTrusting gives the keeper of issuers' keys, which stays while the file of those whom it trusts is the same.
func (p *process) issuersTrusting(caFile string) (*trigger.Issuers, error) {
	if p.issuers == nil || p.issuersCA != caFile {
		issuers, err := trigger.NewIssuers(trigger.IssuersConfig{CAFile: caFile, Logger: p.logs.For("trigger")})
		if err != nil {
			return nil, fmt.Errorf("auth.oidc.ca_file: %w", err)
		}
		p.issuers, p.issuersCA = issuers, caFile
	}
	return p.issuers, nil
}

func tokens(list []config.Token) []trigger.Token {
	made := make([]trigger.Token, len(list))
	for i, token := range list {
		made[i] = trigger.Token{
			Name: token.Name, Value: token.Value.Reveal(), SHA256: token.SHA256.Reveal(), Scopes: token.Scopes, Groups: token.Groups, Expires: token.Expires,
		}
	}
	return made
}

// callersServer makes the listener that this role's callers come in by, and has it take its certificate over on reload.
func (p *process) callersServer(component string, handler http.Handler) (*trigger.Server, error) {
	_, listener := p.listener(p.cfg)
	server, err := p.server(component, trigger.ServerConfig{
		Listen: listener.Listen, CertFile: listener.TLS.CertFile, KeyFile: listener.TLS.KeyFile, ClientCerts: listener.Auth.Has(config.AuthMTLS),
	}, handler)
	if err != nil {
		return nil, err
	}
	p.reloads = append(p.reloads, func(next config.Config) error {
		_, listener := p.listener(next)
		return server.ReloadTLS(listener.TLS.CertFile, listener.TLS.KeyFile, listener.Auth.Has(config.AuthMTLS))
	})
	return server, nil
}
