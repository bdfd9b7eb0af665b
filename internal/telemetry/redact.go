package telemetry

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// redacted stands where a secret would.
const redacted = "[redacted]"

// shortestSecret is the length below which a secret is hidden only where it is a whole value: as a part of others it
// would blank out ordinary words.
const shortestSecret = 4

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
	for _, secret := range secrets {
		switch {
		case len(secret) >= shortestSecret:
			forms = append(forms, spellings(secret)...)
		case secret != "":
			k.short[secret] = true
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

// spellings are the ways in which libraries write a text into their errors.
func spellings(text string) []string {
	quoted, ascii := strconv.Quote(text), strconv.QuoteToASCII(text)
	inJSON, _ := json.Marshal(text) // a string always encodes
	raw := []byte(text)
	return []string{
		text, quoted[1 : len(quoted)-1], ascii[1 : len(ascii)-1], string(inJSON[1 : len(inJSON)-1]),
		url.QueryEscape(text), url.PathEscape(text), (&url.URL{Path: text}).EscapedPath(), (&url.URL{Fragment: text}).EscapedFragment(),
		url.User(text).String(),
		base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), // padding tells nothing
	}
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
