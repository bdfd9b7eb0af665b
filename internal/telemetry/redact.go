package telemetry

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/systole-run/systole/internal/secret"
)

// redacted stands where a secret would.
const redacted = secret.Mark

// redactor keeps secrets out of texts: known ones in every usual spelling, and credentials by their shape.
type redactor struct {
	known atomic.Pointer[known]
}

// known is one state of the secrets; it is never changed.
type known struct {
	short    map[string]bool
	replacer *strings.Replacer
}

func newRedactor(secrets []string) *redactor {
	r := &redactor{}
	r.set(secrets)
	return r
}

func (r *redactor) set(secrets []string) {
	k := &known{short: map[string]bool{}}
	var forms []string
	for _, text := range secrets {
		switch {
		case len(text) >= secret.MinBytes:
			forms = append(forms, secret.Spellings(text)...)
		case text != "": // hidden only where it is a whole value: as a part of others it would blank out ordinary words
			k.short[text] = true
		}
	}
	// Of secrets that start alike the longest comes first, so that none leaves its end behind.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, redacted)
	}
	k.replacer = strings.NewReplacer(pairs...)
	r.known.Store(k)
}

// shapes find what looks like a credential, whoever's it is.
var shapes = []struct {
	find    *regexp.Regexp
	replace string
}{
	{regexp.MustCompile(`(?i)\b((?:set-)?cookie|(?:proxy-)?authorization|x-heartbeat-token)(["']?\s*[:=]\s*["'\[]*)[^"'\]\r\n]+`), "$1$2" + redacted},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}`), "$1 " + redacted},
	{regexp.MustCompile(`(?i)\b([a-z0-9_-]*(?:password|passwd|pwd|secret|token|api[_-]?key))=[^\s&"',;]+`), "$1=" + redacted},
	{regexp.MustCompile(`\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@`), "$1" + redacted + "@"},
}

// text gives a text without its secrets.
func (r *redactor) text(text string) string {
	k := r.known.Load()
	if k.short[text] {
		return redacted
	}
	text = k.replacer.Replace(text)
	if !strings.ContainsAny(text, " =:@") {
		return text // names, ids and numbers, which are most of what is logged
	}
	for _, shape := range shapes {
		text = shape.find.ReplaceAllString(text, shape.replace)
	}
	return text
}

// secretKey matches the keys of attributes, groups and fields whose value is never shown.
var secretKey = regexp.MustCompile(`(?i)password|passwd|passphrase|secret|authorization|cookie|api[._-]?key|private[._-]?key|access[._-]?key|bearer|tokens?$`)

// shownKeys look like secretKey and are not secret: a run's fencing token is a number that everyone may know.
var shownKeys = map[string]bool{"fencing_token": true}

func sensitive(key string) bool { return secretKey.MatchString(key) && !shownKeys[key] }
