// Package paramschema checks the parameters of a run against the JSON Schema (draft 2020-12) of its flow. Both come from
// outside, so what holds is said for any bytes: Compile and Check end, do not panic, and read nothing but what they are
// given. A schema refers to itself only ("#/$defs/day"); it names neither files nor addresses. Patterns are regular
// expressions of Go, which take a time that grows with the pattern and with the text. format is checked, not only noted. What
// would take long (many values against long lists, long texts against large patterns, references that multiply) is refused.
package paramschema

import (
	"fmt"
	"strings"
)

// Bounds of what is accepted.
const (
	MaxSchema   = 64 << 10  // bytes of a schema
	MaxParams   = 64 << 10  // bytes of parameters
	MaxProblems = 50        // that are told of; more say the same
	maxSteps    = 200_000   // subschemas that are tried in one check; a pattern counts by its size and the text's
	maxCompared = 100 << 20 // values that are compared with what a schema lists; see listCost

	maxDigits   = 400 // of a number, and its exponent: what is longer is no quantity, and slow to compare
	maxExponent = 400
)

// Problem is one thing wrong with parameters, or with a schema.
type Problem struct {
	Field   string // path of the value, such as "params.items[0]"; for a schema, where in it
	Found   string // what was there, cut to a readable length
	Allowed string // what would have been accepted
}

func (p Problem) String() string {
	return fmt.Sprintf("%s: found %s, allowed is %s", p.Field, p.Found, p.Allowed)
}

// Error lists what is wrong with a schema. It is never empty.
type Error []Problem

func (e Error) Error() string {
	lines := make([]string, len(e))
	for i, problem := range e {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}
