package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkAuth checks all that is said of who may call, and settles the mode.
func (l *loader) checkAuth(prefix string, from *Listener) {
	auth, names := &from.Auth, map[string]int{}
	at := prefix + ".auth."
	l.checkTokens(at+"tokens", auth.Tokens, names)
	l.checkHMAC(at+"hmac", &auth.HMAC, names)
	l.checkOIDC(at+"oidc", auth.OIDC, names)
	l.checkMTLS(prefix, from, names)
	if needed(l.Roles, prefix) {
		l.checkCAs(at+"oidc.ca_file", auth.OIDC.CAFile)
		l.checkCAs(at+"mtls.ca_file", auth.MTLS.CAFile)
	}
	l.checkMode(prefix, from)
}

// configured lists the kinds of credentials that there are settings of.
func (a Auth) configured() (kinds []string) {
	for _, kind := range authKinds {
		if map[string]bool{
			AuthToken: len(a.Tokens) > 0,
			AuthHMAC:  len(a.HMAC.Keys) > 0,
			AuthOIDC:  a.OIDC.Issuer != "" || a.OIDC.Audience != "" || a.OIDC.CAFile != "" || len(a.OIDC.Subjects) > 0,
			AuthMTLS:  a.MTLS.CAFile != "" || len(a.MTLS.Subjects) > 0,
		}[kind] {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

const modeAllowed = "none; or one or several of token, hmac, oidc and mtls, joined by commas"

// checkMode decides who may call. Open to everybody is a listener only if it was said in so many words, or if nothing at
// all was said about authentication and only this machine can reach it. A kind of credential that there are settings of
// and that the mode leaves out is an error: whoever wrote them expects them to count.
func (l *loader) checkMode(prefix string, from *Listener) {
	key := prefix + ".auth.mode"
	modes, configured := split(from.Auth.Mode), from.Auth.configured()
	for i, mode := range modes {
		switch {
		case mode != AuthNone && !slices.Contains(authKinds, mode):
			l.bad(key, quote(mode), modeAllowed)
		case slices.Contains(modes[:i], mode), mode == AuthNone && len(modes) > 1:
			l.bad(key, quote(from.Auth.Mode), modeAllowed)
		}
	}
	switch {
	case len(modes) == 0:
		l.settleMode(prefix, from, configured)
	case slices.Contains(modes, AuthNone) && len(configured) > 0:
		l.bad(key, fmt.Sprintf("%q beside settings of %s", AuthNone, strings.Join(configured, ", ")), strings.Join(configured, ",")+"; or none without those settings")
	default:
		for _, kind := range configured {
			if !slices.Contains(modes, kind) {
				l.bad(key, quote(from.Auth.Mode)+" beside settings of "+kind, strings.Join(configured, ",")+"; or no settings of "+kind)
			}
		}
		from.Auth.Mode = strings.Join(modes, ",")
	}
	l.checkComplete(prefix, from.Auth)
}

// checkComplete reports what a mode needs and has not.
func (l *loader) checkComplete(prefix string, auth Auth) {
	missing := func(key, kind, allowed string) {
		l.bad(prefix+".auth."+key, "nothing", allowed+", since "+prefix+".auth.mode has "+kind)
	}
	if auth.Has(AuthToken) && len(auth.Tokens) == 0 {
		l.bad(prefix+".auth.tokens", "no token", "at least one token, since "+prefix+".auth.mode has token")
	}
	if auth.Has(AuthHMAC) {
		if prefix == "console" {
			l.bad("console.auth.mode", "hmac", "token, oidc and mtls: only the gateway, with JetStream's memory, knows a signed request that is sent twice")
		}
		if auth.Mode == AuthHMAC && slices.Equal(l.Roles, []Role{RoleDev}) && prefix == "gateway" {
			l.bad("gateway.auth.mode", "hmac alone", "another kind beside it in dev, where the admin API, which takes no signed requests, shares the listener")
		}
		if len(auth.HMAC.Keys) == 0 {
			missing("hmac.keys", AuthHMAC, "at least one key")
		}
	}
	if auth.Has(AuthOIDC) && len(auth.OIDC.Subjects) == 0 {
		missing("oidc.subjects", AuthOIDC, "at least one subject; not everybody whom the issuer knows is let in")
	}
	if auth.Has(AuthMTLS) {
		if auth.MTLS.CAFile == "" {
			missing("mtls.ca_file", AuthMTLS, "the certificates of those who sign clients'")
		}
		if len(auth.MTLS.Subjects) == 0 {
			missing("mtls.subjects", AuthMTLS, "at least one subject; not everybody whom the CA has signed is let in")
		}
	}
}

// settleMode gives a listener whose mode says nothing one that fits its settings.
func (l *loader) settleMode(prefix string, from *Listener, configured []string) {
	if len(configured) > 0 {
		from.Auth.Mode = strings.Join(configured, ",")
		return
	}
	from.Auth.Mode = AuthToken
	if l.faultyList(prefix) || l.faulty[prefix+".listen"] {
		l.faulty[prefix+".auth.tokens"] = true // what is wrong is told already
		return
	}
	if loopback(from.Listen) {
		from.Auth.Mode = AuthNone
		return
	}
	if needed(l.Roles, prefix) {
		l.bad(prefix+".auth.mode", "nothing, and no credentials, while "+prefix+".listen is "+quote(from.Listen)+", which other machines can reach",
			prefix+".auth.tokens with at least one token, or another kind of credential; or none, which lets everybody in")
	}
	l.faulty[prefix+".auth.tokens"] = true
}

// faultyList reports whether a list of credentials could not be read, so that it only seems to be empty.
func (l *loader) faultyList(prefix string) bool {
	return slices.ContainsFunc([]string{"tokens", "hmac.keys", "oidc.subjects", "mtls.subjects"}, func(list string) bool { return l.faulty[prefix+".auth."+list] })
}
