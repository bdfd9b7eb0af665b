package paramschema

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// teller puts what a check found into words.
type teller struct{ document any }

// all gives every violation, sorted and each once.
func (t teller) all(invalid *jsonschema.ValidationError) []Problem {
	problems := t.flat(nil, invalid)
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Allowed, b.Allowed), strings.Compare(a.Found, b.Found))
	})
	return capped(slices.Compact(problems))
}

// flat adds a violation, or those that it consists of.
func (t teller) flat(problems []Problem, e *jsonschema.ValidationError) []Problem {
	path, value := find(t.document, e.InstanceLocation)
	add := func(path, found, allowed string) { problems = append(problems, Problem{path, found, allowed}) }
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		t.missing(&problems, path, k.Missing, "a value, as it is required")
	case *kind.DependentRequired:
		t.missing(&problems, path, k.Missing, "a value, as there is "+quote(k.Prop))
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			at, value := find(t.document, append(slices.Clone(e.InstanceLocation), name))
			add(at, describe(value), "nothing: the schema has no such property")
		}
	case *kind.FalseSchema:
		add(path, describe(value), "nothing")
	case *kind.PropertyNames:
		add(member(path, k.Property), "the name "+quote(k.Property), "a name that propertyNames of the schema allows")
	case *kind.AnyOf:
		add(path, describe(value), "one of these: "+t.alternatives(e))
	case *kind.OneOf:
		if len(k.Subschemas) == 2 {
			add(path, describe(value)+", which fits more than one", "what fits exactly one alternative of the schema's oneOf")
			break
		}
		add(path, describe(value), "exactly one of these: "+t.alternatives(e))
	case *kind.Contains, *kind.MinContains, *kind.MaxContains, *kind.Not, *kind.ContentSchema:
		found, allowed := words(k, value)
		add(path, found, allowed)
	default:
		if len(e.Causes) == 0 {
			found, allowed := words(k, value)
			add(path, found, allowed)
		}
		for _, cause := range e.Causes {
			if len(problems) > 20*MaxProblems {
				break
			}
			problems = t.flat(problems, cause)
		}
	}
	return problems
}

func (t teller) missing(problems *[]Problem, path string, names []string, allowed string) {
	for _, name := range names {
		*problems = append(*problems, Problem{member(path, name), "nothing", allowed})
	}
}

// alternatives says what each branch would have allowed.
func (t teller) alternatives(e *jsonschema.ValidationError) string {
	const most = 8
	path, _ := find(t.document, e.InstanceLocation)
	var texts []string
	for _, cause := range e.Causes {
		var parts []string
		for _, problem := range (teller{t.document}).all(cause) {
			part := problem.Allowed
			if inside, ok := strings.CutPrefix(problem.Field, path); ok && inside != "" {
				part = strings.TrimPrefix(inside, ".") + " " + part
			}
			parts = append(parts, part)
		}
		if text := strings.Join(parts, " and "); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
		if len(texts) == most {
			break
		}
	}
	text := strings.Join(texts, "; or ")
	if len(text) > 400 {
		text = strings.ToValidUTF8(text[:400], "") + "…"
	}
	return text
}

// schemaProblems says why a schema does not compile.
func schemaProblems(document any, err error) []Problem {
	var invalid *jsonschema.ValidationError
	var against *jsonschema.SchemaValidationError
	if errors.As(err, &against) && errors.As(against.Err, &invalid) {
		return teller{document}.all(invalid)
	}
	text := strings.ReplaceAll(err.Error(), location, "")
	return []Problem{{root, cut(strings.ReplaceAll(text, "\n", " ")), "a JSON Schema (2020-12) that refers to nothing outside itself"}}
}
