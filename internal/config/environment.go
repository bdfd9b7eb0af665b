package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
)

const (
	variablePrefix = "SYSTOLE_"
	levelSeparator = "__"
)

// notSettings are variables with our prefix that mean something else: those of the command line client, and those that
// an exec run gets (DESIGN section 8), from inside which someone may well call this program.
var notSettings = []string{
	"SERVER", "API_TOKEN", "CONFIG",
	"FLOW", "GROUP", "RUN_ID", "OCCURRENCE_ID", "SLOT", "ATTEMPT", "TOKEN", "DEADLINE", "WORKER", "CURSOR", "CURSOR_OUT",
}

// serviceLink matches what Kubernetes puts into every pod for a Service whose name starts with systole.
var serviceLink = regexp.MustCompile(`^([A-Z0-9]+_)*(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// environmentLayer reads the variables that are settings, and reports those that look like one and are none.
func (l *loader) environmentLayer() *env.Env {
	return env.Provider(".", env.Opt{
		Prefix:      variablePrefix,
		EnvironFunc: l.Environ,
		TransformFunc: func(name, value string) (string, any) {
			key, ours := l.variableKey(name)
			if !ours {
				return "", nil
			}
			l.cfg.origin[key] = Source{Variable: name}
			return key, value
		},
	})
}

// variableKey gives the key that a variable sets.
func (l *loader) variableKey(name string) (key string, ok bool) {
	rest := strings.TrimPrefix(name, variablePrefix)
	if slices.Contains(notSettings, rest) || (!strings.Contains(rest, levelSeparator) && serviceLink.MatchString(rest)) {
		return "", false
	}
	key = strings.ToLower(strings.ReplaceAll(rest, levelSeparator, "."))
	if l.leaves[key] && rest == strings.ToUpper(rest) {
		return key, true
	}
	l.report(Problem{Key: key, Source: Source{Variable: name}, Found: "an unknown variable", Allowed: l.unknownVariable(key)})
	return "", false
}

func (l *loader) unknownVariable(key string) string {
	if near := l.nearestVariable(key); near != "" {
		return near + "?"
	}
	return l.unknown(key)
}

// nearestVariable finds the setting that was meant, also where one underscore stands for two.
func (l *loader) nearestVariable(key string) string {
	flat := strings.NewReplacer(".", "_")
	for _, known := range l.keys {
		if flat.Replace(known) == flat.Replace(key) {
			return variableOf(known)
		}
	}
	if near := l.nearest(key); l.leaves[near] {
		return variableOf(near)
	}
	return ""
}

func variableOf(key string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(key, ".", levelSeparator))
}
