package manifest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/systole-run/systole/internal/manifest"
)

type schema struct {
	Description string             `json:"description"`
	Type        string             `json:"type"`
	Properties  map[string]*schema `json:"properties"`
	OneOf       []struct {
		Required []string `json:"required"`
	} `json:"oneOf"`
}

func flowSchema(t *testing.T) (root schema, text []byte) {
	t.Helper()
	text, err := manifest.Schema()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return root, text
}

func TestSchemaIsTheSameOnEveryCall(t *testing.T) {
	t.Parallel()
	_, first := flowSchema(t)
	_, second := flowSchema(t)
	if !bytes.Equal(first, second) {
		t.Error("two calls differ")
	}
}

func TestSchemaDescribesEveryField(t *testing.T) {
	t.Parallel()
	root, _ := flowSchema(t)
	var walk func(path string, s *schema)
	walk = func(path string, s *schema) {
		if s.Description == "" {
			t.Errorf("%s has no description", path)
		}
		for name, property := range s.Properties {
			walk(path+"."+name, property)
		}
	}
	walk("flow", &root)
}

func TestSchemaOffersExactlyTheKeysThatThisVersionCarriesOut(t *testing.T) {
	t.Parallel()
	root, _ := flowSchema(t)
	values := map[string]string{
		"name": "", "group": "g", "description": "d", "every": "5m", "cron": "0 1 * * *", "timezone": "UTC", "timeout": "1m",
		"overlap": "forbid", "catchup": "latest", "catchup_limit": "3", "start_deadline": "5m", "retry": "{attempts: 1}",
		"concurrency": "{key: a, max: 1}", "pause_after": "3", "params": "{type: object}",
		"function": "", "exec": "", "http": "", "pipeline": "", "wasm": "",
	}
	kinds := map[string]string{
		"function": "{name: f}", "exec": "{command: [a]}", "http": "{url: \"http://x\"}", "pipeline": "{source: {}}", "wasm": "{module: m}",
	}
	for key, value := range values {
		text := "name: a\n"
		switch kind := kinds[key]; {
		case kind != "":
			text += key + ": " + kind + "\n"
		case key == "name":
			text += "exec: {command: [a]}\n"
		case key == "catchup_limit":
			text += "exec: {command: [a]}\ncatchup: all\ncatchup_limit: 3\n"
		case key == "timezone":
			text += "exec: {command: [a]}\ncron: \"@daily\"\ntimezone: UTC\n"
		default:
			text += "exec: {command: [a]}\n" + key + ": " + value + "\n"
		}
		_, err := manifest.Parse("f.yaml", []byte(text))
		if _, offered := root.Properties[key]; offered != (err == nil) {
			t.Errorf("%s is offered: %t; with it a definition gives: %v", key, offered, err)
		}
	}
	for key := range root.Properties {
		if _, tried := values[key]; !tried {
			t.Errorf("%s is offered, and not tried here", key)
		}
	}
}

func TestSchemaAsksForExactlyOneKind(t *testing.T) {
	t.Parallel()
	root, _ := flowSchema(t)
	var kinds []string
	for _, one := range root.OneOf {
		kinds = append(kinds, strings.Join(one.Required, "+"))
	}
	if !slices.Equal(kinds, []string{"function", "exec", "http", "wasm"}) {
		t.Errorf("got %v", kinds)
	}
	if root.Properties["every"].Type != "string" {
		t.Errorf("every is of type %q, want string", root.Properties["every"].Type)
	}
}

// What an editor takes by the schema is what apply takes.
func TestSchemaAndParseAgreeOnDurationsAndSizes(t *testing.T) {
	t.Parallel()
	_, text := flowSchema(t)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("flow.json", document); err != nil {
		t.Fatal(err)
	}
	checked, err := compiler.Compile("flow.json")
	if err != nil {
		t.Fatal(err)
	}
	for field, values := range map[string]string{
		`"every":%s`:                                      `"5m" "1h30m" "10.5s" "0s" "0h0m" "0.0s" "" "5" 5`,
		`"every":"1h","timeout":%s`:                       `"90s" "1000ms" "0s" "00m"`,
		`"every":"1h","retry":{"initial":%s}`:             `"10s" "0s"`,
		`"exec":{"command":["a"],"limits":{"memory":%s}}`: `"64MiB" 67108864 "1GiB" "0" "0MiB" 0 "x"`,
	} {
		for value := range strings.FieldsSeq(values) {
			flow := `{"name":"a",` + fmt.Sprintf(field, value)
			if !strings.Contains(field, "exec") {
				flow += `,"exec":{"command":["a"]}`
			}
			flow += "}"
			instance, err := jsonschema.UnmarshalJSON(strings.NewReader(flow))
			if err != nil {
				t.Fatal(err)
			}
			_, parsed := manifest.Parse("f.yaml", []byte(flow)) // JSON is YAML
			if edited := checked.Validate(instance); (parsed == nil) != (edited == nil) {
				t.Errorf("%s: by the schema %v, by the parser %v", flow, edited, parsed)
			}
		}
	}
}
