package trigger

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"time"
)

// Token is one shared secret: its value, or the SHA-256 sum of it, and what it is good for. It never prints its secret.
type Token struct {
	Name    string    // who has it; appears in logs
	Value   string    // the secret itself, of visible ASCII characters; either this or SHA256
	SHA256  string    // the secret's SHA-256 sum in hex
	Scopes  []string  // of ScopeBeat, ScopeRun, ScopeRead, ScopeWrite; none means ScopeBeat only
	Groups  []string  // where the scopes hold; none means everywhere
	Expires time.Time // from when on it is refused; zero means never
}

const maxToken = 512

var secretPattern = regexp.MustCompile(fmt.Sprintf(`^[!-~]{1,%d}$`, maxToken))

// String names the token without its secret.
func (t Token) String() string {
	return fmt.Sprintf("token %q (scopes %s; groups %s)", t.Name, strings.Join(t.Scopes, ","), strings.Join(t.Groups, ","))
}

// Format implements fmt.Formatter, so that no verb prints the secret.
func (t Token) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, t.String()) }

// LogValue implements slog.LogValuer.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON keeps the secret out of JSON.
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// entry is a token, ready for use.
type entry struct {
	sum       [sha256.Size]byte
	key       []byte // the secret itself, kept of keys that sign
	expires   time.Time
	principal Principal
}

// at gives the principal, as long as the token has not expired.
func (e *entry) at(now time.Time, kind string) (Principal, error) {
	if !e.expires.IsZero() && !now.Before(e.expires) {
		return Principal{}, refusedAs(kind, ReasonExpired).of(e.principal.Name)
	}
	return e.principal, nil
}

// find gives the entry of a token, or nil. Every sum is compared, in constant time, so that how long it takes tells
// nothing about any of them.
func (a *Authenticator) find(token string) *entry {
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i := range a.entries {
		equal := subtle.ConstantTimeCompare(sum[:], a.entries[i].sum[:])
		found = subtle.ConstantTimeSelect(equal, i, found)
	}
	if found < 0 {
		return nil
	}
	return &a.entries[found]
}

// entries checks the tokens of a list, and turns them into what is kept. One secret under two names is refused: only one
// of them could ever be found.
func (e *InvalidError) entries(list, kind string, tokens []Token, names names) []entry {
	made := make([]entry, len(tokens))
	sums := map[[sha256.Size]byte]int{}
	for i, token := range tokens {
		at := fmt.Sprintf("%s[%d]", list, i)
		made[i] = entry{
			principal: e.principal(at, kind, grant{token.Name, token.Scopes, token.Groups}),
			sum:       token.sum(e, func(name string) string { return at + "." + name }),
			expires:   token.Expires,
		}
	}
	for i, entry := range made {
		at := fmt.Sprintf("%s[%d]", list, i)
		e.unique(names, at, entry.principal.Name)
		if entry.sum == [sha256.Size]byte{} {
			continue // found wrong already
		}
		if first, taken := sums[entry.sum]; taken {
			e.add(at, "a secret used twice", fmt.Sprintf("another secret than that of %s[%d]", list, first))
		}
		sums[entry.sum] = i
	}
	return made
}

// sum gives the SHA-256 sum. What is told of a wrong secret is its length, and no more.
func (t Token) sum(invalid *InvalidError, field func(string) string) (sum [sha256.Size]byte) {
	switch {
	case t.Value != "" && t.SHA256 != "":
		invalid.add(field("value"), "value and sha256", "only one of them")
	case t.SHA256 != "":
		decoded, err := hex.DecodeString(t.SHA256)
		if err != nil || len(decoded) != len(sum) {
			invalid.add(field("sha256"), fmt.Sprintf("%d characters", len(t.SHA256)), "a SHA-256 sum as 64 hex digits")
		}
		copy(sum[:], decoded)
	case !secretPattern.MatchString(t.Value):
		invalid.add(field("value"), fmt.Sprintf("%d characters", len(t.Value)), fmt.Sprintf("1 to %d visible ASCII characters, or sha256 in its place", maxToken))
	default:
		return sha256.Sum256([]byte(t.Value))
	}
	return sum
}
