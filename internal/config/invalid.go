package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with the settings.
type Problem struct {
	Key     string // such as gateway.listen; empty where a file as a whole is at fault
	Source  Source
	Found   string // what was there; never the content of a secret
	Allowed string // what would have been accepted
}

func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("%s: found %s, allowed is %s", p.Source, p.Found, p.Allowed)
	}
	return fmt.Sprintf("%s (%s): found %s, allowed is %s", p.Key, p.Source, p.Found, p.Allowed)
}

// InvalidError is everything that is wrong with the settings: first what could not be read, layer by layer, then values
// in the order of the tree. It is never empty.
type InvalidError struct{ Problems []Problem }

func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// quote cuts and quotes what came from outside.
func quote(found string) string {
	const longest = 80
	if len(found) > longest {
		return fmt.Sprintf("%q…", found[:longest])
	}
	return fmt.Sprintf("%q", found)
}
