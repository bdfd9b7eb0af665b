package trigger

import (
	"fmt"
	"regexp"
	"slices"
)

// Principal is who sent a request. The zero value is allowed nothing.
type Principal struct {
	Name string // of its token, key or subject; appears in logs
	Kind string // of its credential, one of the Kind constants; empty for Anonymous

	scopes  []string
	groups  []string
	all     bool
	request string // the id of a signed request
}

// Anonymous is the principal of every request where authentication is switched off. It is allowed everything.
func Anonymous() Principal { return Principal{Name: "anonymous", all: true} }

// Allowed reports whether the principal has the scope in the group. An empty group stands for all of them: a token that
// is limited to groups has no scope there.
func (p Principal) Allowed(scope, group string) bool {
	return p.all || p.anywhere(scope) && (len(p.groups) == 0 || slices.Contains(p.groups, group))
}

// anywhere reports whether the principal has the scope in some group.
func (p Principal) anywhere(scope string) bool { return p.all || slices.Contains(p.scopes, scope) }

// grant is what all kinds of credentials say of their owner.
type grant struct {
	name           string
	scopes, groups []string
}

// names are those that are taken, each with where: logs could not tell two principals of one name apart.
type names map[string]string

const maxTokenName = 64

var tokenNames = regexp.MustCompile(fmt.Sprintf(`^[0-9A-Za-z][0-9A-Za-z._@-]{0,%d}$`, maxTokenName-1))

// principal checks a grant that stands at a field, and makes a principal of it.
func (e *InvalidError) principal(at, kind string, g grant) Principal {
	if !tokenNames.MatchString(g.name) {
		e.add(at+".name", quote(g.name), fmt.Sprintf("1 to %d of letters, digits, . _ @ and -", maxTokenName))
	}
	for _, scope := range g.scopes {
		if !slices.Contains([]string{ScopeBeat, ScopeRun, ScopeRead, ScopeWrite}, scope) {
			e.add(at+".scopes", quote(scope), "beat, run, read or write")
		}
	}
	for _, group := range g.groups {
		if !ValidName(group) {
			e.add(at+".groups", quote(group), nameAllowed)
		}
	}
	scopes := slices.Clone(g.scopes)
	if len(scopes) == 0 {
		scopes = []string{ScopeBeat}
	}
	return Principal{Name: g.name, Kind: kind, scopes: scopes, groups: slices.Clone(g.groups)}
}

// unique refuses a name that is taken, whatever kind of credential has it.
func (e *InvalidError) unique(names names, at, name string) {
	if first, taken := names[name]; taken {
		e.add(at+".name", quote(name), "another name than that of "+first)
	}
	names[name] = at
}
