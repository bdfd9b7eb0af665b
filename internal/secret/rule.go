package secret

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Rule opens secrets to flows: those whose reference Secrets matches to those whose "group/name" Flows matches. A * in
// either stands for any text without a slash.
type Rule struct{ Flows, Secrets string }

// RuleAllowed says in words what a rule may be.
const RuleAllowed = `"group/flow reference", such as "billing/* secret:billing-*", with * for any text without a slash`

var (
	flowsPattern   = regexp.MustCompile(`^[a-z0-9_*-]+/[a-z0-9_*-]+$`)
	secretsPattern = regexp.MustCompile(`^(env:[A-Za-z0-9_*]+|file:/[^\x00-\x1f?\[\]\\]+|secret:[A-Za-z0-9._*/-]+)$`)
)

// ParseRule reads a rule of the form "group/flow reference".
func ParseRule(text string) (Rule, error) {
	flows, secrets, _ := strings.Cut(text, " ")
	rule := Rule{Flows: flows, Secrets: strings.TrimSpace(secrets)}
	if !flowsPattern.MatchString(rule.Flows) || !secretsPattern.MatchString(rule.Secrets) {
		return Rule{}, fmt.Errorf("found %q, allowed is %s", text, RuleAllowed)
	}
	return rule, nil
}

// Opens reports whether the rule lets the flow "group/name" use the secret.
func (r Rule) Opens(flow, reference string) bool {
	return matches(r.Flows, flow) && matches(r.Secrets, reference)
}

// matches can use path.Match since ParseRule leaves * as the only character with a meaning.
func matches(pattern, text string) bool {
	matched, err := path.Match(pattern, text)
	return err == nil && matched
}
