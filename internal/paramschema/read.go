package paramschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/systole-run/systole/internal/strictjson"
)

// root is what every path starts with.
const root = "params"

// read gives a JSON object with its numbers as they are written, or what is wrong with it.
func read(data []byte, allowed string) (any, []Problem) {
	var object map[string]json.RawMessage
	err := strictjson.Decode(data, &object)
	if err == nil && object == nil {
		return nil, []Problem{{root, "null", allowed}}
	}
	if err != nil {
		return nil, problemsOf(err, allowed)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, []Problem{{root, err.Error(), allowed}}
	}
	var problems []Problem
	visit(root, document, func(path string, value any) {
		if number, ok := value.(json.Number); ok && !sensible(number.String()) {
			problems = append(problems, Problem{path, "the number " + cut(number.String()), fmt.Sprintf(
				"a number of up to %d digits, with an exponent from -%d to %d", maxDigits, maxExponent, maxExponent)})
		}
	})
	return document, capped(problems)
}

func problemsOf(err error, allowed string) []Problem {
	var found strictjson.Error
	if !errors.As(err, &found) {
		return []Problem{{root, err.Error(), allowed}}
	}
	var problems []Problem
	for _, problem := range found {
		path := root
		if problem.Field != "" {
			path += "." + problem.Field
		}
		problems = append(problems, Problem{path, fmt.Sprintf("%s at byte %d", problem.Found, problem.Offset), problem.Allowed})
	}
	return capped(problems)
}

// sensible tells numbers that can be compared quickly.
func sensible(number string) bool {
	digits, exponent, found := strings.Cut(strings.ToLower(number), "e")
	if len(digits) > maxDigits {
		return false
	}
	if !found {
		return true
	}
	n, err := strconv.Atoi(exponent)
	return err == nil && -maxExponent <= n && n <= maxExponent
}

// visit calls see for a value and all that is in it, in an order that is always the same.
func visit(path string, value any, see func(path string, value any)) {
	see(path, value)
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			visit(member(path, name), value[name], see)
		}
	case []any:
		for i, item := range value {
			visit(element(path, i), item, see)
		}
	}
}

// screen finds what a schema of parameters may not say, although JSON Schema knows it.
func screen(document any) []Problem {
	var problems []Problem
	visit(root, document, func(path string, value any) {
		object, ok := value.(map[string]any)
		if !ok {
			return
		}
		for _, keyword := range []string{"$ref", "$dynamicRef"} {
			if target, ok := object[keyword].(string); ok && !strings.HasPrefix(target, "#") {
				problems = append(problems, Problem{member(path, keyword), quote(target), `a place in this schema, such as "#/$defs/day"`})
			}
		}
		if draft, ok := object["$schema"].(string); ok && strings.TrimSuffix(draft, "#") != "https://json-schema.org/draft/2020-12/schema" {
			problems = append(problems, Problem{member(path, "$schema"), quote(draft), "https://json-schema.org/draft/2020-12/schema, or leaving it out"})
		}
	})
	if kind, ok := document.(map[string]any)["type"]; ok && !namesObject(kind) {
		problems = append(problems, Problem{member(root, "type"), describe(kind), "object, as parameters are one"})
	}
	return capped(problems)
}

func namesObject(kind any) bool {
	kinds, several := kind.([]any)
	return kind == "object" || several && slices.Contains(kinds, any("object"))
}

func capped(problems []Problem) []Problem { return problems[:min(len(problems), MaxProblems)] }
