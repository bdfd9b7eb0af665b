package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/strictjson"
)

type base struct {
	Kind string `json:"kind"`
}

type step struct {
	Name string `json:"name"`
}

type document struct {
	base
	Group string            `json:"group"`
	Count int8              `json:"count,omitempty"`
	On    bool              `json:"on"`
	Steps []step            `json:"steps"`
	Retry *step             `json:"retry"`
	Env   map[string]string `json:"env"`
	Raw   json.RawMessage   `json:"raw"`
	Any   any               `json:"any"`
	At    time.Time         `json:"at"`
	Data  []byte            `json:"data"`
	Skip  string            `json:"-"`
}

func TestDecodeReadsWhatIsRight(t *testing.T) {
	t.Parallel()
	const text = `{"kind":"k","group":"a","count":-5,"on":true,"steps":[{"name":"ü\ud83d\ude00"},{"name":"\\ud800"}],"retry":null,
		"env":{"A":"1","a":"2"},"raw":{"x":[1,2.5e3]},"any":[null,{}],"at":"2026-01-02T03:04:05Z","data":"aGk="}`
	var got, want document
	if err := strictjson.Decode([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDecodeSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", strictjson.MaxDepth+1) + strings.Repeat("]", strictjson.MaxDepth+1)
	tests := map[string]struct{ text, field, found, allowed string }{
		"nothing":                       {"", "", "nothing", "one JSON value"},
		"only spaces":                   {" \n", "", "nothing", "one JSON value"},
		"broken syntax":                 {`{"group":}`, "", "invalid character '}'", "one JSON value"},
		"cut off":                       {`{"group":"a"`, "", "unexpected end", "one JSON value"},
		"trailing data":                 {`{"group":"a"} {}`, "", "after top-level value", "one JSON value"},
		"broken UTF-8":                  {"{\"group\":\"\xff\"}", "", "not UTF-8", "UTF-8"},
		"half a surrogate pair":         {`{"group":"\ud800x"}`, "", "surrogate", "whole characters"},
		"surrogates in the wrong order": {`{"group":"\ude00\ud83d"}`, "", "surrogate", "whole characters"},
		"an unknown key":                {`{"grupp":"a"}`, "grupp", `the key "grupp"`, "group"},
		"a key in another case":         {`{"Group":"a"}`, "Group", `the key "Group"`, "group"},
		"a key that is kept from JSON":  {`{"Skip":"a"}`, "Skip", `the key "Skip"`, "group"},
		"a doubled key":                 {`{"group":"a","group":"a"}`, "group", "a second time", "once"},
		"a doubled key by escape":       {`{"group":"a","gr\u006fup":"a"}`, "group", "a second time", "once"},
		"a doubled key further in":      {`{"steps":[{"name":"a"},{"name":"b","name":"c"}]}`, "steps[1].name", "a second time", "once"},
		"a doubled key in raw JSON":     {`{"raw":{"x":{"y":1,"y":2}}}`, "raw.x.y", "a second time", "once"},
		"an unknown key further in":     {`{"retry":{"nome":"a"}}`, "retry.nome", `the key "nome"`, "name"},
		"a number for a text":           {`{"group":1}`, "group", "a number", "a text"},
		"null for a text":               {`{"group":null}`, "group", "null", "a text"},
		"a text for a number":           {`{"count":"1"}`, "count", "a text", "a number"},
		"a number that is too large":    {`{"count":300}`, "count", "number 300", "int8"},
		"a fraction for an integer":     {`{"count":1.5}`, "count", "number 1.5", "int8"},
		"a text for true or false":      {`{"on":"yes"}`, "on", "a text", "true or false"},
		"an object for a list":          {`{"steps":{}}`, "steps", "an object", "a list"},
		"a list for an object":          {`{"env":[]}`, "env", "a list", "an object"},
		"a list for the document":       {`[]`, "", "a list", "an object"},
		"a time that is none":           {`{"at":"soon"}`, "", "soon", "a value that its field can take"},
		"nesting without end":           {`{"any":` + deep + `}`, "any[0]", "deeper nesting", "100 levels"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var wrong strictjson.Error
			if err := strictjson.Decode([]byte(test.text), new(document)); !errors.As(err, &wrong) {
				t.Fatalf("got %v, want a strictjson.Error", err)
			}
			got := wrong[0]
			if !strings.HasPrefix(got.Field, test.field) || !strings.Contains(got.Found, test.found) || !strings.Contains(got.Allowed, test.allowed) {
				t.Errorf("got %+v, want %+v", got, test)
			}
		})
	}
}

func TestDecodeReportsEverythingAtOnceWithoutRepeatingValues(t *testing.T) {
	t.Parallel()
	err := strictjson.Decode([]byte(`{"password":"hunter2","group":["hunter2"],"on":true,"on":false}`), new(document))
	var wrong strictjson.Error
	if !errors.As(err, &wrong) || len(wrong) != 3 {
		t.Fatalf("got %v, want three problems", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error repeats a value: %v", err)
	}
}

func TestDecodeBoundsWhatAnErrorRepeats(t *testing.T) {
	t.Parallel()
	err := strictjson.Decode([]byte(`{"`+strings.Repeat("ü", 4000)+`":1}`), new(document))
	if err == nil || len(err.Error()) > 600 {
		t.Errorf("got an error of %d bytes", len(fmt.Sprint(err)))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"group":"a","steps":[{"name":"\ud83d\ude00"}],"raw":{"a":1}}`))
	f.Add([]byte(`{"group":"a","group":"b"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict, loose document
		if err := strictjson.Decode(data, &strict); err != nil {
			if wrong := (strictjson.Error{}); !errors.As(err, &wrong) || len(wrong) == 0 {
				t.Fatalf("got %v, want problems", err)
			}
			return
		}
		if err := json.Unmarshal(data, &loose); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if !reflect.DeepEqual(strict, loose) {
			t.Fatalf("read %+v, encoding/json reads %+v", strict, loose)
		}
	})
}

func ExampleDecode() {
	var beat struct {
		Source string `json:"source"`
	}
	err := strictjson.Decode([]byte(`{"Source": "cron", "source": 7}`), &beat)
	fmt.Println(err)
	// Output:
	// Source at byte 9: found the key "Source", allowed is one of source
	// source at byte 30: found a number, allowed is a text
}
