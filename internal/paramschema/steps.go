package paramschema

import "github.com/santhosh-tekuri/jsonschema/v6"

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
func (s *steps) Validate(*jsonschema.ValidatorContext, any) {
	if s.left--; s.left < 0 {
		panic("too many steps")
	}
}
