package manifest

import (
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/systole-run/systole/store"
)

// schemaTitle names the schema to editors.
const schemaTitle = "Systole DataFlow"

// Schema gives the JSON Schema (2020-12) of one document of a manifest, for editors. It is made from the Go types, so that it
// cannot fall behind them, offers what this version carries out, and is the same on every call.
func Schema() ([]byte, error) {
	reflector := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true,
		Mapper: mapped, LookupComment: describe,
	}
	schema := reflector.Reflect(store.DataFlow{})
	schema.Title = schemaTitle
	for _, name := range later() {
		schema.Properties.Delete(name)
	}
	for _, kind := range []string{"function", "exec", "http", "wasm"} {
		schema.OneOf = append(schema.OneOf, &jsonschema.Schema{Required: []string{kind}})
	}
	schema.Not = &jsonschema.Schema{Required: []string{"every", "cron"}}
	schema.DependentRequired = map[string][]string{"timezone": {"cron"}}
	return json.MarshalIndent(schema, "", "  ")
}

// mapped gives the schema of types whose text form the reflector cannot know.
func mapped(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[store.Duration]():
		return &jsonschema.Schema{
			Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`, Examples: []any{"90s", "5m", "1h30m"},
			Not: &jsonschema.Schema{Pattern: `^[^1-9]*$`}, // none is 0
		}
	case reflect.TypeFor[store.Size]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "string", Pattern: `^[0-9]+ *(KiB|MiB|GiB)?$`, Examples: []any{"64KiB", "256MiB"}, Not: &jsonschema.Schema{Pattern: `^[^1-9]*$`}},
			{Type: "integer", Minimum: "1"},
		}}
	case reflect.TypeFor[json.RawMessage]():
		return &jsonschema.Schema{Type: "object"}
	}
	return nil
}
