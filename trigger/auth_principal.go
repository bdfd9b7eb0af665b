package trigger

import "slices"

// Principal is who sent a request. The zero value is allowed nothing.
type Principal struct {
	Name string // of its token; appears in logs

	scopes []string
	groups []string
	all    bool
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
