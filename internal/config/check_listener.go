package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

func (l *loader) checkGateway() {
	g := l.cfg.Gateway
	l.checkListener("gateway", &l.cfg.Gateway.Listener)
	const allowed = "a path such as /heartbeat, of letters, digits, - _ ~ and ., without a slash at its end"
	l.match("gateway.path", g.Path, pathPattern, allowed)
	l.match("gateway.run_path", g.RunPath, pathPattern, allowed)
	l.match("gateway.callback_path", g.CallbackPath, pathPattern, allowed)
	l.apart("gateway.run_path", g.RunPath, "gateway.path", g.Path)
	l.apart("gateway.callback_path", g.CallbackPath, "gateway.path", g.Path)
	l.apart("gateway.callback_path", g.CallbackPath, "gateway.run_path", g.RunPath)
	within(l, "gateway.rate", g.Rate, 0, 1_000_000)
	within(l, "gateway.burst", g.Burst, 1, 1_000_000)
	within(l, "gateway.max_body", g.MaxBody, 1, 4<<10)
	within(l, "gateway.max_wait", g.MaxWait, time.Millisecond, time.Hour)
}

// apart reports a path that another one holds, or that holds it.
func (l *loader) apart(key, path, otherKey, other string) {
	if strings.HasPrefix(path+"/", other+"/") || strings.HasPrefix(other+"/", path+"/") {
		l.bad(key, quote(path), "a path that neither holds "+otherKey+" nor lies within it")
	}
}

const minCallbackKey = 32

func (l *loader) checkCallback() {
	c := l.cfg.Callback
	if key := c.Key.Reveal(); key != "" && len(key) < minCallbackKey {
		l.bad("callback.key", fmt.Sprintf("%d characters", len(key)), fmt.Sprintf("%d or more, which nobody can guess", minCallbackKey))
	}
	if c.URL == "" {
		return
	}
	if c.Key.IsZero() {
		l.bad("callback.key", "nothing", "a value, since callback.url is set")
	}
	const allowed = "an address such as https://systole.example/callback, without user, ? and #"
	if u, err := url.Parse(c.URL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		l.bad("callback.url", quote(hideUser(withoutQuery(c.URL))), allowed)
	}
}

func (l *loader) checkConsole() { l.checkListener("console", &l.cfg.Console.Listener) }

// checkListener checks what gateway and console have in common, and settles the mode of authentication.
func (l *loader) checkListener(prefix string, from *Listener) {
	l.address(prefix+".listen", from.Listen, "")
	l.checkTokens(prefix+".auth.tokens", from.Auth.Tokens)
	l.checkMode(prefix, from)
	if !needed(l.Roles, prefix) {
		return
	}
	l.readable(prefix+".tls.cert_file", from.TLS.CertFile)
	l.readable(prefix+".tls.key_file", from.TLS.KeyFile)
	l.pair(prefix+".tls.cert_file", prefix+".tls.key_file", from.TLS.CertFile != "", from.TLS.KeyFile != "")
	if l.faulty[prefix+".tls.cert_file"] || l.faulty[prefix+".tls.key_file"] {
		return
	}
	if _, err := from.TLS.Server(); err != nil {
		l.bad(prefix+".tls.cert_file", err.Error(), "a PEM certificate and its key")
	}
}

// checkMode decides who may call. Open to everybody is a listener only if it was said in so many words, or if nothing at
// all was said about authentication and only this machine can reach it.
func (l *loader) checkMode(prefix string, from *Listener) {
	key := prefix + ".auth.mode"
	modes := split(from.Auth.Mode)
	for _, mode := range modes {
		switch mode {
		case AuthNone, AuthToken:
		case "oidc", "mtls":
			l.bad(key, quote(mode)+", which is not in this version", "token or none")
		default:
			l.bad(key, quote(mode), "token or none")
		}
	}
	switch {
	case len(modes) > 1:
		l.bad(key, quote(from.Auth.Mode), "one of token and none")
	case from.Auth.Mode == AuthNone && len(from.Auth.Tokens) > 0:
		l.bad(key, `"none" beside `+prefix+".auth.tokens", "token; or none without tokens")
	case from.Auth.Mode == AuthToken && len(from.Auth.Tokens) == 0:
		l.bad(prefix+".auth.tokens", "no token", "at least one token, since "+key+" is token")
	case len(modes) == 0:
		l.settleMode(prefix, from)
	}
}

func (l *loader) settleMode(prefix string, from *Listener) {
	from.Auth.Mode = AuthToken
	if len(from.Auth.Tokens) > 0 || l.faulty[prefix+".auth.tokens"] || l.faulty[prefix+".listen"] {
		return
	}
	if loopback(from.Listen) {
		from.Auth.Mode = AuthNone
		return
	}
	if needed(l.Roles, prefix) {
		l.bad(prefix+".auth.mode", "nothing, and no tokens, while "+prefix+".listen is "+quote(from.Listen)+", which other machines can reach",
			prefix+".auth.tokens with at least one token; or none, which lets everybody in")
	}
}

const (
	maxToken  = 512
	weakToken = 16
)

var (
	tokenPattern     = regexp.MustCompile(fmt.Sprintf(`^[!-~]{1,%d}$`, maxToken))
	sumPattern       = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
	tokenNamePattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._@-]{0,63}$`)
	scopes           = []string{"beat", "run", "read", "write"}
)

func (l *loader) checkTokens(key string, tokens []Token) {
	byName, byValue := map[string]int{}, map[string]int{}
	for i, token := range tokens {
		path := fmt.Sprintf("%s[%d]", key, i)
		if l.faulty[path] {
			continue
		}
		l.checkToken(path, token)
		l.once(byName, path+".name", token.Name, i, "a name that another token has")
		l.once(byValue, path+".value", token.Value.Reveal(), i, "a value that another token has")
		l.once(byValue, path+".sha256", strings.ToLower(token.SHA256.Reveal()), i, "a value that another token has")
	}
}

func (l *loader) checkToken(path string, token Token) {
	l.match(path+".name", token.Name, tokenNamePattern, "1 to 64 of letters, digits, . _ @ and -, the first a letter or digit")
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
	for _, scope := range token.Scopes {
		if !slices.Contains(scopes, scope) {
			l.bad(path+".scopes", quote(scope), strings.Join(scopes, ", "))
		}
	}
	for _, group := range token.Groups {
		l.match(path+".groups", group, namePattern, nameAllowed)
	}
}

// once reports what two tokens share and must not.
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
