package paramschema

import (
	"encoding/json"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// steps bounds a check: a schema of a few lines that refers to itself twice on each level would otherwise take forever. It
// is told of every subschema that has been tried, as a keyword of a vocabulary of our own that stands in each.
type steps struct{ left int }

func (s *steps) vocabulary() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{
		URL: "systole:steps",
		Compile: func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
			return s, nil
		},
	}
}

// Validate implements jsonschema.SchemaExt. Its panic is caught by Check.
func (s *steps) Validate(*jsonschema.ValidatorContext, any) { s.take(1) }

func (s *steps) take(n int) {
	if s.left -= n; s.left < 0 {
		panic("too many steps")
	}
}

// pattern implements jsonschema.RegexpEngine. It is asked for the patterns of a schema, and for texts that are to be one
// (format: regex).
func (s *steps) pattern(text string) (jsonschema.Regexp, error) {
	s.take(1 + len(text)/2)
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := sizeOf(parsed)
	s.take(size)
	compiled, err := regexp.Compile(text)
	return &pattern{compiled, size, s}, err
}

// sizeOf is about how many instructions a regular expression becomes: what is repeated is there as many times.
func sizeOf(expression *syntax.Regexp) int {
	size := 1 + len(expression.Rune)/2
	for _, part := range expression.Sub {
		size = min(size+sizeOf(part), maxSteps+1)
	}
	if expression.Op == syntax.OpRepeat {
		size *= max(expression.Min, expression.Max, 1)
	}
	return min(size, maxSteps+1)
}

// pattern is a regular expression whose matching takes steps: in the worst case all of its instructions are looked at for each byte.
type pattern struct {
	*regexp.Regexp
	size  int // instructions, about
	steps *steps
}

// MatchString implements jsonschema.Regexp.
func (p *pattern) MatchString(text string) bool {
	p.steps.take(1 + p.size*len(text)/200)
	return p.Regexp.MatchString(text)
}

// numberCost is what comparing two numbers takes, in comparisons of other values: they are read as fractions each time.
const numberCost = 50

// listCost is what it takes at most to hold a value against each list in a schema once, in comparisons.
func listCost(schema any) int {
	cost := 0
	visit(root, schema, func(_ string, value any) {
		object, _ := value.(map[string]any)
		for _, list := range []string{"enum", "const", "required", "dependentRequired"} {
			visit(root, object[list], func(_ string, listed any) {
				number, isNumber := listed.(json.Number)
				switch {
				case isNumber && strings.ContainsAny(number.String(), "eE"):
					cost += 10 * numberCost
				case isNumber:
					cost += numberCost
				default:
					cost++
				}
			})
		}
	})
	return cost
}

// values counts those that parameters consist of; numbers with an exponent count more.
func values(document any) int {
	n := 0
	visit(root, document, func(_ string, value any) {
		if n++; strings.ContainsAny(asNumber(value), "eE") {
			n += 9
		}
	})
	return n
}

func asNumber(value any) string {
	number, _ := value.(json.Number)
	return number.String()
}
