package paramschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func compile(t testing.TB, schema string) *Schema {
	t.Helper()
	s, err := Compile(json.RawMessage(schema))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const report = `{
	"type": "object", "required": ["day", "items"], "additionalProperties": false,
	"properties": {
		"day":    {"type": "string", "format": "date"},
		"mode":   {"enum": ["fast", "full", 3]},
		"copies": {"type": "integer", "minimum": 1, "maximum": 9},
		"share":  {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1.5, "multipleOf": 0.25},
		"items":  {"type": "array", "minItems": 1, "maxItems": 3, "uniqueItems": true, "items": {"$ref": "#/$defs/item"}},
		"to":     {"anyOf": [{"type": "string", "pattern": "^[a-z]+$"}, {"type": "array", "items": {"type": "string"}}]},
		"odd name": {"const": {"a": 1}}
	},
	"$defs": {"item": {"type": "object", "properties": {"id": {"type": ["integer", "null"]}}, "required": ["id"]}}
}`

func TestEveryViolationIsToldWithItsPathAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		schema, params string
		want           []string
	}{
		"fine":         {report, `{"day":"2026-11-22","mode":3,"copies":2,"share":0.75,"items":[{"id":1},{"id":null}],"to":["a"],"odd name":{"a":1.0}}`, nil},
		"nothing":      {report, ``, []string{"params.day: found nothing, allowed is a value, as it is required", "params.items: found nothing, allowed is a value, as it is required"}},
		"of no schema": {`{}`, `{"anything":[1,{"x":null}]}`, nil},
		"several at once": {report, `{"day":"yesterday","mode":"slow","copies":0,"share":1.6,"items":[{"id":"x"},{}],"to":7,"odd name":1,"extra":true}`, []string{
			`params.copies: found 0, allowed is 1 or more`,
			`params.day: found "yesterday", allowed is text in the format date`,
			`params.extra: found true, allowed is nothing: the schema has no such property`,
			`params.items[0].id: found "x", allowed is null or an integer`,
			`params.items[1].id: found nothing, allowed is a value, as it is required`,
			`params.mode: found "slow", allowed is one of "fast", "full", 3`,
			`params.share: found 1.6, allowed is a multiple of 0.25`,
			`params.share: found 1.6, allowed is less than 1.5`,
			`params.to: found 7, allowed is one of these: text; or a list`,
			`params["odd name"]: found 1, allowed is {"a":1}`,
		}},
		"a large number":     {report, `{"day":"2026-11-22","items":[{"id":1}],"copies":12345678901234567890123}`, []string{"params.copies: found 12345678901234567890123, allowed is 9 or less"}},
		"a part of it":       {report, `{"day":"2026-11-22","items":[{"id":1.5}]}`, []string{"params.items[0].id: found 1.5, allowed is null or an integer"}},
		"too many":           {report, `{"day":"2026-11-22","items":[{"id":1},{"id":1},{"id":2},{"id":3}]}`, []string{"params.items: found a list of 4, allowed is 3 items or less", "params.items: found equal items at 0 and 1, allowed is items that all differ"}},
		"no object":          {report, `[1]`, []string{"params: found a list at byte 1, allowed is an object"}},
		"null":               {report, `null`, []string{"params: found null, allowed is a JSON object"}},
		"no JSON":            {report, `{"day":`, []string{"unexpected end of JSON input"}},
		"doubled keys":       {report, `{"day":"2026-11-22","day":"2026-11-23"}`, []string{`params.day: found the key "day" a second time`}},
		"an endless number":  {`{}`, `{"a":[1e999999999]}`, []string{"params.a[0]: found the number 1e999999999, allowed is a number of up to 400 digits"}},
		"an endless text":    {`{}`, `{"a":"` + strings.Repeat("x", MaxParams) + `"}`, []string{"params: found 65544 bytes, allowed is up to 65536 bytes"}},
		"one of two":         {`{"properties":{"a":{"oneOf":[{"minimum":1},{"minimum":2}]}}}`, `{"a":5}`, []string{"params.a: found 5, which fits more than one"}},
		"one of none":        {`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`, []string{"params: found an object, allowed is exactly one of these: a a value, as it is required; or b a value, as it is required"}},
		"not":                {`{"properties":{"a":{"not":{"type":"null"}}}}`, `{"a":null}`, []string{"params.a: found null, allowed is what not of the schema does not describe"}},
		"together":           {`{"dependentRequired":{"from":["to"]}}`, `{"from":1}`, []string{`params.to: found nothing, allowed is a value, as there is "from"`}},
		"a name":             {`{"propertyNames":{"maxLength":3}}`, `{"long-one":1}`, []string{`params.long-one: found the name "long-one", allowed is a name that propertyNames`}},
		"a length":           {`{"properties":{"a":{"minLength":2},"b":{"maxLength":1}}}`, `{"a":"ä","b":"xy"}`, []string{`params.a: found "ä", 1 character, allowed is 2 characters or more`, `params.b: found "xy", 2 characters, allowed is 1 character or less`}},
		"none left":          {`{"properties":{"a":{"contains":{"type":"null"}},"b":false}}`, `{"a":[1],"b":2}`, []string{"params.a: found a list of 1, allowed is an item that contains of the schema allows", "params.b: found 2, allowed is nothing"}},
		"unevaluated":        {`{"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}`, `{"a":1,"b":2}`, []string{"params.b: found 2, allowed is nothing"}},
		"under a condition":  {`{"if":{"properties":{"a":{"const":1}},"required":["a"]},"then":{"required":["b"]}}`, `{"a":1}`, []string{"params.b: found nothing"}},
		"a schema in itself": {`{"properties":{"next":{"$ref":"#"},"n":{"type":"integer"}}}`, `{"next":{"next":{"n":"x"}}}`, []string{`params.next.next.n: found "x", allowed is an integer`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, problem := range compile(t, test.schema).Check(json.RawMessage(test.params)) {
				got = append(got, problem.String())
			}
			matches := slices.EqualFunc(got, test.want, strings.Contains)
			if !matches {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestASchemaThatIsNoneIsRefusedWithThePlace(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"not":`, 200) + `{}` + strings.Repeat(`}`, 200)
	for name, test := range map[string]struct{ schema, field, found, allowed string }{
		"nothing":            {``, "params", "nothing", ""},
		"a list":             {`[]`, "params", "a list", "an object"},
		"true":               {`true`, "params", "true or false", "an object"},
		"null":               {`null`, "params", "null", "a JSON Schema as a JSON object"},
		"of another type":    {`{"type":"string"}`, "params.type", `"string"`, "object"},
		"of other types":     {`{"type":["string","null"]}`, "params.type", `a list of 2`, "object"},
		"of no type":         {`{"properties":{"day":{"type":"strin"}}}`, "params.properties.day.type", `"strin"`, `"string"`},
		"a number as text":   {`{"minProperties":"1"}`, "params.minProperties", `"1"`, "an integer"},
		"a broken pattern":   {`{"properties":{"a":{"pattern":"("}}}`, "params.properties.a.pattern", `"("`, "regex"},
		"a remote reference": {`{"properties":{"a":{"$ref":"https://example.com/day.json"}}}`, "params.properties.a.$ref", "https://example.com/day.json", "#/$defs/day"},
		"a file":             {`{"$ref":"file:///etc/passwd"}`, "params.$ref", "file:///etc/passwd", "#/$defs/day"},
		"a neighbour":        {`{"$dynamicRef":"day.json#x"}`, "params.$dynamicRef", "day.json#x", "#/$defs/day"},
		"a lost reference":   {`{"$ref":"#/$defs/none"}`, "params", "none", "outside itself"},
		"another draft":      {`{"$schema":"http://json-schema.org/draft-07/schema#"}`, "params.$schema", "draft-07", "2020-12"},
		"an endless number":  {`{"properties":{"a":{"multipleOf":1e-99999}}}`, "params.properties.a.multipleOf", "1e-99999", "exponent"},
		"doubled keys":       {`{"type":"object","type":"object"}`, "params.type", "a second time", "each key once"},
		"too deep":           {deep, "params", "deeper nesting", "at most 100 levels"},
		"too long":           {`{"description":"` + strings.Repeat("x", MaxSchema) + `"}`, "params", "bytes", "65536"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Compile(json.RawMessage(test.schema))
			var invalid Error
			if !errors.As(err, &invalid) {
				t.Fatalf("%v is not an Error", err)
			}
			if !slices.ContainsFunc(invalid, func(p Problem) bool {
				return strings.HasPrefix(p.Field, test.field) && strings.Contains(p.Found, test.found) && strings.Contains(p.Allowed, test.allowed)
			}) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASchemaMayNameItsDraftAndItself(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://example.com/report","$ref":"#/$defs/a","$defs":{"a":{"required":["x"]}}}`,
		`{"type":["object","null"],"required":["x"],"$anchor":"here","properties":{"y":{"$ref":"#here"}}}`,
		`{"required":["x"],"properties":{"$ref":{"type":"string"},"$schema":{"type":"string"}}}`,
	} {
		if problems := compile(t, schema).Check(nil); len(problems) != 1 || problems[0].Field != "params.x" {
			t.Errorf("%s: %v", schema, problems)
		}
	}
}

// Each level tries the next one twice: 2^60 steps, if nobody counted.
func TestASchemaThatWouldTakeForeverEnds(t *testing.T) {
	t.Parallel()
	var levels []string
	for i := range 60 {
		levels = append(levels, fmt.Sprintf(`"l%d":{"allOf":[{"$ref":"#/$defs/l%d"},{"$ref":"#/$defs/l%d"}]}`, i, i+1, i+1))
	}
	s := compile(t, `{"$ref":"#/$defs/l0","$defs":{"l60":{"minProperties":0},`+strings.Join(levels, ",")+`}}`)
	for range 2 {
		if problems := s.Check(nil); len(problems) != 1 || problems[0].Found != "parameters that cannot be checked" {
			t.Errorf("%v", problems)
		}
	}
}

// What takes long is refused before it is done: without that each of these takes from seconds to hours.
func TestParametersThatWouldTakeLongAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 60_000)
	list := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	names := make([]string, 6000)
	for i := range names {
		names[i] = fmt.Sprintf(`"n%d"`, i)
	}
	for name, c := range map[string]struct{ schema, params string }{
		"a large pattern":      {`{"properties":{"x":{"pattern":"` + strings.Repeat("((a?){100}){10}", 20) + `b"}}}`, `{"x":"` + long + `"}`},
		"patterns to make":     {`{"properties":{"x":{"format":"regex"}}}`, `{"x":"` + strings.Repeat("((a?){100}){10}", 500) + `"}`},
		"many patterns":        {`{"$defs":{"p":{"pattern":"(a|b)*c"}},"properties":{"x":{"allOf":[` + list(`{"$ref":"#/$defs/p"}`, 2500) + `]}}}`, `{"x":"` + long + `"}`},
		"patterns to read":     {`{"$defs":{"p":{"format":"regex"}},"properties":{"x":{"allOf":[` + list(`{"$ref":"#/$defs/p"}`, 2500) + `]}}}`, `{"x":"` + long + `"}`},
		"a long list":          {`{"properties":{"x":{"items":{"enum":[` + list("12345", 10_000) + `]}}}}`, `{"x":[` + list("23456", 10_000) + `]}`},
		"much that is missing": {`{"properties":{"x":{"items":{"required":[` + strings.Join(names, ",") + `]}}}}`, `{"x":[` + list("{}", 20_000) + `]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := compile(t, c.schema).Check(json.RawMessage(c.params))
			if len(problems) != 1 || problems[0].Found != "parameters that cannot be checked" {
				t.Errorf("%v", problems)
			}
		})
	}
	if _, err := Compile(json.RawMessage(`{"properties":{"x":{"pattern":"` + strings.Repeat("((a?){100}){10}", 500) + `"}}}`)); err == nil {
		t.Error("a pattern of a million instructions is compiled")
	}
	// What people write is checked.
	countries := compile(t, `{"properties":{"x":{"items":{"enum":[`+list(`"DE"`, 250)+`],"pattern":"^[A-Z]{2}$"}}}}`)
	if problems := countries.Check(json.RawMessage(`{"x":[` + list(`"DE"`, 10_000) + `]}`)); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
}

func TestManyProblemsAreBounded(t *testing.T) {
	t.Parallel()
	s := compile(t, `{"additionalProperties":{"type":"string"}}`)
	params := map[string]int{}
	for i := range 2000 {
		params[fmt.Sprintf("p%d", i)] = i
	}
	data, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	if problems := s.Check(data); len(problems) != MaxProblems {
		t.Errorf("%d problems", len(problems))
	}
}

func TestASchemaIsUsedFromSeveralGoroutines(t *testing.T) {
	t.Parallel()
	s := compile(t, report)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if problems := s.Check(nil); len(problems) != 2 {
					t.Error(problems)
				}
			}
		})
	}
	all.Wait()
}

// Whatever the bytes are, both calls end without a panic, and say the same again.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(report), []byte(`{"day":"2026-11-22","items":[{"id":1}]}`))
	f.Add([]byte(`{"properties":{"a":{"multipleOf":0.1}}}`), []byte(`{"a":1e400}`))
	f.Add([]byte(`{"$ref":"#"}`), []byte(`{}`))
	f.Add([]byte(`{"$dynamicAnchor":"x","properties":{"a":{"$dynamicRef":"#x"}}}`), []byte(`{"a":{"a":[]}}`))
	f.Add([]byte(`{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"not":{"$ref":"#/$defs/a"}}}}`), []byte(`{"\u0000":null}`))
	f.Add([]byte(`{"properties":{"a":{"format":"hostname"},"b":{"format":"uri-template"},"c":{"format":"idn-email"}}}`), []byte(`{"a":"..","b":"{","c":"@"}`))
	f.Add([]byte(`{"unevaluatedItems":false,"contentMediaType":"application/json","prefixItems":[true]}`), []byte(`[[]]`))
	f.Add([]byte(`{"enum":[{"a":[1,1.0]}],"$id":"//["}`), []byte(`{"a":[1,1]}`))
	f.Fuzz(func(t *testing.T, schema, params []byte) {
		s, err := Compile(schema)
		if err != nil {
			if len(err.(Error)) == 0 { //nolint:errorlint // it is exactly that type
				t.Error("an error without a problem")
			}
			return
		}
		first := s.Check(params)
		if second := s.Check(params); !slices.Equal(first, second) {
			t.Errorf("%v, then %v", first, second)
		}
		for _, problem := range first {
			if !strings.HasPrefix(problem.Field, "params") || problem.Found == "" || problem.Allowed == "" {
				t.Errorf("%+v", problem)
			}
		}
	})
}
