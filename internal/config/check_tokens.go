package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

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
