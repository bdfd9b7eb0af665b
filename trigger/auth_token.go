package trigger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

// Token is one credential: its value, or the SHA-256 sum of it, and what it is good for. It never prints its secret.
type Token struct {
	Name   string   // who has it; appears in logs
	Value  string   // the secret itself, of visible ASCII characters; either this or SHA256
	SHA256 string   // the secret's SHA-256 sum in hex
	Scopes []string // of ScopeBeat, ScopeRun, ScopeRead, ScopeWrite; none means ScopeBeat only
	Groups []string // where the scopes hold; none means everywhere
}

const (
	maxToken     = 512
	maxTokenName = 64
)

var (
	secretPattern = regexp.MustCompile(fmt.Sprintf(`^[!-~]{1,%d}$`, maxToken))
	tokenNames    = regexp.MustCompile(fmt.Sprintf(`^[0-9A-Za-z][0-9A-Za-z._@-]{0,%d}$`, maxTokenName-1))
)

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

// entry checks the token, the i-th of its list, and turns it into what the authenticator keeps.
func (t Token) entry(invalid *InvalidError, i int) entry {
	field := func(name string) string { return fmt.Sprintf("tokens[%d].%s", i, name) }
	if !tokenNames.MatchString(t.Name) {
		invalid.add(field("name"), quote(t.Name), fmt.Sprintf("1 to %d of letters, digits, . _ @ and -", maxTokenName))
	}
	for _, scope := range t.Scopes {
		if !slices.Contains([]string{ScopeBeat, ScopeRun, ScopeRead, ScopeWrite}, scope) {
			invalid.add(field("scopes"), quote(scope), "beat, run, read or write")
		}
	}
	for _, group := range t.Groups {
		if !ValidName(group) {
			invalid.add(field("groups"), quote(group), nameAllowed)
		}
	}
	scopes := slices.Clone(t.Scopes)
	if len(scopes) == 0 {
		scopes = []string{ScopeBeat}
	}
	return entry{sum: t.sum(invalid, field), principal: Principal{Name: t.Name, scopes: scopes, groups: slices.Clone(t.Groups)}}
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

// checkUnique refuses two tokens of one name, which logs could not tell apart, and one secret under two names, of
// which only one could ever be found.
func (a *Authenticator) checkUnique(invalid *InvalidError) {
	names, sums := map[string]int{}, map[[sha256.Size]byte]int{}
	for i, entry := range a.entries {
		if first, taken := names[entry.principal.Name]; taken {
			invalid.add(fmt.Sprintf("tokens[%d].name", i), quote(entry.principal.Name), fmt.Sprintf("another name than that of tokens[%d]", first))
		}
		names[entry.principal.Name] = i
		if entry.sum == [sha256.Size]byte{} {
			continue // found wrong already
		}
		if first, taken := sums[entry.sum]; taken {
			invalid.add(fmt.Sprintf("tokens[%d]", i), "a secret used twice", fmt.Sprintf("another secret than that of tokens[%d]", first))
		}
		sums[entry.sum] = i
	}
}
