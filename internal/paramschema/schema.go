package paramschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// location names the schema within the compiler; nothing is loaded from it.
const location = "systole:params"

// Schema checks parameters. Safe for concurrent use; checks with one Schema go one after another.
type Schema struct {
	compiled *jsonschema.Schema

	lists int // what the lists in it cost each value that is held against them, see listCost

	mu    sync.Mutex // guards steps, so a whole check
	steps *steps
}

// Compile reads a schema: a JSON object of up to MaxSchema bytes, of type object if it names a type. The error is an Error
// whose fields start with "params"; it lists everything where the schema is one at all.
func Compile(schema json.RawMessage) (compiled *Schema, err error) {
	if len(schema) > MaxSchema {
		return nil, Error{{root, fmt.Sprintf("%d bytes", len(schema)), fmt.Sprintf("up to %d bytes", MaxSchema)}}
	}
	document, problems := read(schema, "a JSON Schema as a JSON object")
	if len(problems) > 0 {
		return nil, Error(problems)
	}
	if problems := screen(document); len(problems) > 0 {
		return nil, Error(problems)
	}
	defer func() {
		if fault := recover(); fault != nil {
			compiled, err = nil, Error{{root, "a schema that cannot be read", "a JSON Schema (2020-12), with patterns of moderate size"}}
		}
	}()
	s := &Schema{lists: listCost(document), steps: &steps{left: maxSteps}}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(refuse{})
	compiler.AssertFormat()
	compiler.UseRegexpEngine(s.steps.pattern)
	compiler.RegisterVocabulary(s.steps.vocabulary())
	compiler.AssertVocabs()
	if err := compiler.AddResource(location, document); err != nil {
		return nil, Error{{root, err.Error(), "a JSON Schema (2020-12)"}}
	}
	if s.compiled, err = compiler.Compile(location); err != nil {
		return nil, Error(schemaProblems(document, err))
	}
	return s, nil
}

// Check gives everything that is wrong with the parameters, in the order of their fields and at most MaxProblems; none
// where they may be run with. Nothing at all is checked as {}.
func (s *Schema) Check(params json.RawMessage) (problems []Problem) {
	if len(params) == 0 {
		params = json.RawMessage("{}")
	}
	if len(params) > MaxParams {
		return []Problem{{root, fmt.Sprintf("%d bytes", len(params)), fmt.Sprintf("up to %d bytes", MaxParams)}}
	}
	document, problems := read(params, "a JSON object")
	if len(problems) > 0 {
		return problems
	}
	tooMuch := []Problem{{root, "parameters that cannot be checked", "what a simpler schema can check"}}
	if s.lists*values(document) > maxCompared {
		return tooMuch
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps.left = maxSteps
	defer func() {
		if fault := recover(); fault != nil {
			problems = tooMuch
		}
	}()
	var invalid *jsonschema.ValidationError
	if errors.As(s.compiled.Validate(document), &invalid) {
		return teller{document}.all(invalid)
	}
	return nil
}

// refuse loads nothing.
type refuse struct{}

// Load implements jsonschema.URLLoader.
func (refuse) Load(string) (any, error) { return nil, errRemote }

var errRemote = errors.New("schemas are loaded from nowhere")
