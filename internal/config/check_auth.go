package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// checkAuth checks all that is said of who may call, and settles the mode.
func (l *loader) checkAuth(prefix string, from *Listener) {
	auth, names := &from.Auth, map[string]int{}
	at := prefix + ".auth."
	l.checkTokens(at+"tokens", auth.Tokens, names)
	l.checkHMAC(at+"hmac", &auth.HMAC, names)
	l.checkOIDC(at+"oidc", auth.OIDC, names)
	l.checkMTLS(prefix, from, names)
	l.checkMode(prefix, from)
}

// configured lists the kinds of credentials that there are settings of.
func (a Auth) configured() (kinds []string) {
	for _, kind := range authKinds {
		if map[string]bool{
			AuthToken: len(a.Tokens) > 0,
			AuthHMAC:  len(a.HMAC.Keys) > 0,
			AuthOIDC:  a.OIDC.Issuer != "" || a.OIDC.Audience != "" || len(a.OIDC.Subjects) > 0,
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

const (
	maxToken   = 512
	weakToken  = 16
	minHMACKey = 32
)

var (
	tokenPattern     = regexp.MustCompile(fmt.Sprintf(`^[!-~]{1,%d}$`, maxToken))
	sumPattern       = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	tokenNamePattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._@-]{0,63}$`)
	scopes           = []string{"beat", "run", "read", "write"}
)

func (l *loader) checkTokens(key string, tokens []Token, names map[string]int) {
	byValue := map[string]int{}
	for i, token := range tokens {
		path := fmt.Sprintf("%s[%d]", key, i)
		if l.faulty[path] {
			continue
		}
		l.checkToken(path, token)
		l.once(names, path+".name", token.Name, i, "a name that another credential has")
		l.once(byValue, path+".value", token.Value.Reveal(), i, "a value that another token has")
		l.once(byValue, path+".sha256", strings.ToLower(token.SHA256.Reveal()), i, "a value that another token has")
	}
}

func (l *loader) checkToken(path string, token Token) {
	l.checkGrant(path, token.Name, token.Scopes, token.Groups)
	if token.Value.IsZero() == token.SHA256.IsZero() {
		l.bad(path+".value", map[bool]string{true: "nothing", false: "both value and sha256"}[token.Value.IsZero()], "one of value, value_file and sha256")
	}
	if value := token.Value.Reveal(); value != "" && !tokenPattern.MatchString(value) {
		l.bad(path+".value", fmt.Sprintf("%d bytes, not all of them visible", len(value)), fmt.Sprintf("1 to %d visible ASCII characters, which a header can carry", maxToken))
	} else if value != "" && len(value) < weakToken {
		l.warn(path+".value", fmt.Sprintf("the token has %d characters; one of fewer than %d can be guessed", len(value), weakToken))
	}
	if sum := token.SHA256.Reveal(); sum != "" && !sumPattern.MatchString(sum) {
		l.bad(path+".sha256", fmt.Sprintf("%d characters", len(sum)), "a SHA-256 sum as 64 hex digits")
	}
	l.warnExpiry(path+".expires", token.Expires)
}

// expirySoon is how long before its end somebody is warned of a credential that expires.
const expirySoon = 7 * 24 * time.Hour

func (l *loader) warnExpiry(key string, expires time.Time) {
	switch left := time.Until(expires); {
	case expires.IsZero():
	case left <= 0:
		l.warn(key, "the credential has expired and is refused")
	case left < expirySoon:
		l.warn(key, "the credential expires within a week, on "+expires.UTC().Format(time.RFC3339))
	}
}

// checkGrant checks what all kinds of credentials have.
func (l *loader) checkGrant(path, name string, granted, groups []string) {
	l.match(path+".name", name, tokenNamePattern, "1 to 64 of letters, digits, . _ @ and -, the first a letter or digit")
	for _, scope := range granted {
		if !slices.Contains(scopes, scope) {
			l.bad(path+".scopes", quote(scope), strings.Join(scopes, ", "))
		}
	}
	for _, group := range groups {
		l.match(path+".groups", group, namePattern, nameAllowed)
	}
}

// once reports what two credentials share and must not.
func (l *loader) once(seen map[string]int, key, value string, i int, found string) {
	if value == "" {
		return
	}
	if _, taken := seen[value]; taken {
		l.bad(key, found, "one of its own")
		return
	}
	seen[value] = i
}

// checkHMAC holds the window against JetStream's memory, which is what knows a signed request that comes twice. Its default
// gives way.
func (l *loader) checkHMAC(key string, hmac *HMACAuth, names map[string]int) {
	memory := l.cfg.NATS.DuplicateWindow
	if l.source(key+".window") == (Source{}) {
		hmac.Window = min(hmac.Window, memory)
	}
	switch {
	case hmac.Window < time.Second && len(hmac.Keys) == 0 && l.source(key+".window") == (Source{}):
	case hmac.Window < time.Second:
		l.bad(key+".window", text(hmac.Window), "1s to nats.duplicate_window, which is "+text(memory))
	case hmac.Window > memory && !l.faulty["nats.duplicate_window"]:
		l.bad(key+".window", text(hmac.Window), "up to nats.duplicate_window, which is "+text(memory)+": after that a request that is sent twice is not known")
	}
	l.checkTokens(key+".keys", hmac.Keys, names)
	for i, token := range hmac.Keys {
		path := fmt.Sprintf("%s.keys[%d]", key, i)
		if !token.SHA256.IsZero() {
			l.bad(path+".sha256", "a sum", "value or value_file: a key signs by its value")
		}
		if value := token.Value.Reveal(); value != "" && len(value) < minHMACKey {
			l.bad(path+".value", fmt.Sprintf("%d characters", len(value)), fmt.Sprintf("%d or more, which nobody can guess", minHMACKey))
		}
	}
}

const issuerAllowed = "an address such as https://token.actions.githubusercontent.com, without user, ? and #; http on loopback only"

func (l *loader) checkOIDC(key string, oidc OIDCAuth, names map[string]int) {
	within(l, key+".clock_skew", oidc.ClockSkew, time.Second, 10*time.Minute)
	l.issuer(key+".issuer", oidc.Issuer)
	for i, subject := range oidc.Subjects {
		path := fmt.Sprintf("%s.subjects[%d]", key, i)
		if l.faulty[path] {
			continue
		}
		known := subject.Subject + subject.Email
		if (subject.Subject == "") == (subject.Email == "") {
			l.bad(path, "both subject and email, or neither", "exactly one of them")
		}
		if len(known) > 255 || strings.ContainsFunc(known, unicode.IsControl) {
			l.bad(path+".subject", quote(known), "up to 255 bytes without control characters")
		}
		l.issuer(path+".issuer", subject.Issuer)
		if subject.Issuer == "" && oidc.Issuer == "" {
			l.bad(key+".issuer", "nothing", issuerAllowed)
		}
		if subject.Audience == "" && oidc.Audience == "" {
			l.bad(key+".audience", "nothing", "whom tokens must be for, such as the address of this gateway")
		}
		if subject.Name == "" {
			l.once(names, path, known, i, "a subject that is on the list already")
			subject.Name = "unnamed"
		} else {
			l.once(names, path+".name", subject.Name, i, "a name that another credential has")
		}
		l.checkGrant(path, subject.Name, subject.Scopes, subject.Groups)
	}
}

func (l *loader) issuer(key, issuer string) {
	if issuer == "" {
		return
	}
	u, err := url.Parse(issuer)
	plain := err == nil && u.Host != "" && u.User == nil && !strings.ContainsAny(issuer, "?#")
	if !plain || u.Scheme != "https" && (u.Scheme != "http" || !loopbackHost(u.Hostname())) {
		l.bad(key, quote(hideUser(issuer)), issuerAllowed)
	}
}

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (l *loader) checkMTLS(prefix string, from *Listener, names map[string]int) {
	key, clients := prefix+".auth.mtls", from.Auth.MTLS
	seen := map[string]int{}
	for i, subject := range clients.Subjects {
		path := fmt.Sprintf("%s.subjects[%d]", key, i)
		if l.faulty[path] {
			continue
		}
		known := slices.DeleteFunc([]string{"uri " + subject.URI, "dns " + subject.DNS, "email " + subject.Email, "cn " + subject.CN}, func(name string) bool { return strings.HasSuffix(name, " ") })
		if len(known) != 1 {
			l.bad(path, fmt.Sprintf("%d of uri, dns, email and cn", len(known)), "exactly one")
		} else {
			l.once(seen, path, known[0], i, "a name that another subject has")
		}
		l.checkGrant(path, subject.Name, subject.Scopes, subject.Groups)
		l.once(names, path+".name", subject.Name, i, "a name that another credential has")
	}
	if from.TLS == (ServerTLS{}) && (clients.CAFile != "" || from.Auth.Has(AuthMTLS)) {
		l.bad(prefix+".tls.cert_file", "nothing", "a certificate, since "+prefix+".auth has mtls: without TLS no client can present one, nor behind a proxy that ends TLS")
	}
	if clients.CAFile == "" || !needed(l.Roles, prefix) {
		return
	}
	l.readable(key+".ca_file", clients.CAFile)
	if _, err := clients.CAs(); err != nil {
		l.bad(key+".ca_file", err.Error(), "a file of PEM certificates")
	}
}
