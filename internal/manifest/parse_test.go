package manifest_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/manifest"
	"github.com/systole-run/systole/store"
)

const good = "name: orders\nexec: {command: [\"./sync.sh\"]}\n"

func TestParseReadsEveryFieldThatThisVersionCarriesOut(t *testing.T) {
	t.Parallel()
	flows, err := manifest.Parse("f.yaml", []byte(`# a comment
name: orders-sync
group: shop
description: |
  Orders from the shop
  into the warehouse
every: 5m
timeout: 2m
overlap: forbid
catchup: latest
retry: {attempts: 1}
exec:
  command: ["./sync.sh", '--full', plain]
  dir: /srv
  env: {REGION: eu, "EMPTY": ""}
---
name: hook
cron: "*/5 * * * *"
timezone: Europe/Berlin
http:
  url: https://example.com/hook
  headers:
    X-Shop: "7"
---
name: fn
function: {name: clean}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []store.DataFlow{
		{
			Name: "orders-sync", Group: "shop", Description: "Orders from the shop\ninto the warehouse\n",
			Every: store.Duration(5 * time.Minute), Timeout: store.Duration(2 * time.Minute), Retry: &store.Retry{Attempts: 1},
			Exec: &store.ExecSpec{Command: []string{"./sync.sh", "--full", "plain"}, Dir: "/srv", Env: map[string]string{"REGION": "eu", "EMPTY": ""}},
		},
		{
			Name: "hook", Cron: "*/5 * * * *", Timezone: "Europe/Berlin",
			HTTP: &store.HTTPSpec{URL: "https://example.com/hook", Headers: map[string]string{"X-Shop": "7"}},
		},
		{Name: "fn", Function: &store.FunctionSpec{Name: "clean"}},
	}
	lines := []int{2, 17, 25}
	if len(flows) != len(want) {
		t.Fatalf("got %d flows, want %d", len(flows), len(want))
	}
	for i, flow := range flows {
		if !reflect.DeepEqual(flow.DataFlow, want[i].WithDefaults()) {
			t.Errorf("flow %d: got %+v, want %+v", i, flow.DataFlow, want[i].WithDefaults())
		}
		if flow.File != "f.yaml" || flow.Line != lines[i] {
			t.Errorf("flow %d is at %s:%d, want f.yaml:%d", i, flow.File, flow.Line, lines[i])
		}
	}
}

func TestParseTakesWhatEditorsAndOtherToolsWrite(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text  string
		flows int
	}{
		"a byte order mark":           {"\xef\xbb\xbf" + good, 1},
		"line ends of Windows":        {strings.ReplaceAll(good, "\n", "\r\n"), 1},
		"no line end at the end":      {strings.TrimSpace(good), 1},
		"JSON":                        {`{"name": "orders", "exec": {"command": ["a"]}}`, 1},
		"an empty file":               {"", 0},
		"only comments":               {"# nothing\n\n# here\n", 0},
		"empty documents":             {"---\n---\n# c\n---\n" + good + "---\n", 1},
		"null as a document":          {"null\n---\n" + good, 1},
		"the end of a document":       {good + "...\n", 1},
		"a directive":                 {"%YAML 1.2\n---\n" + good, 1},
		"content beside the marker":   {"--- {name: a, exec: {command: [b]}}\n--- # c\n" + good, 2},
		"anchors and aliases":         {"name: &n orders\nexec: {command: [*n, *n], dir: *n}\n", 1},
		"an explicit key":             {"? name\n: orders\nexec: {command: [a]}\n", 1},
		"a marker within a text":      {"name: orders\nexec: {command: [a]}\ndescription: |\n  x\n  ---\n  y\n", 1},
		"zeros that say something":    {"name: orders\ndescription: \"\"\npause_after: 0\nretry: {jitter: 0}\nexec: {command: [a, \"\"], env: {A: \"\"}}\n", 1},
		"a text that looks like null": {"name: orders\nexec: {command: [\"null\", \"1\", \"~\"]}\n", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flows, err := manifest.Parse("f.yaml", []byte(test.text))
			if err != nil || len(flows) != test.flows {
				t.Errorf("got %d flows and %v, want %d", len(flows), err, test.flows)
			}
		})
	}
}

func TestParseSaysWhereAndWhatIsWrong(t *testing.T) {
	t.Parallel()
	const kind = "exec: {command: [a]}\n"
	tests := map[string]struct{ text, want string }{
		"an unknown key, with the nearest":      {"name: a\n" + kind + "timout: 5m\n", `f.yaml:3:1: timout: found an unknown key (did you mean timeout?), allowed is name, group,`},
		"an unknown key that resembles none":    {"name: a\n" + kind + "zzz: 5m\n", `f.yaml:3:1: zzz: found an unknown key, allowed is name, group,`},
		"an unknown key further in":             {"name: a\nexec:\n  command: [a]\n  evn: {}\n", `f.yaml:4:3: exec.evn: found an unknown key (did you mean env?), allowed is command, dir, env`},
		"a doubled key":                         {"name: a\n" + kind + "name: b\n", `f.yaml:3:1: name: found the key a second time, after line 1, allowed is each key once`},
		"a number for text":                     {"name: 5\n" + kind, `f.yaml:1:7: name: found "5", allowed is text; put it in quotes`},
		"a number for text in a list":           {"name: a\nexec:\n  command:\n    - a\n    - 5\n", `f.yaml:5:7: exec.command[1]: found "5", allowed is text; put it in quotes`},
		"text for a list":                       {"name: a\nexec: {command: ls -l}\n", `f.yaml:2:17: exec.command: found "ls -l", allowed is a list, such as ["./sync.sh", "--full"]`},
		"a list for text":                       {"name: [a]\n" + kind, `f.yaml:1:1: name: found a list, allowed is text`},
		"text for a mapping":                    {"name: a\nexec: ls\n", `f.yaml:2:7: exec: found "ls", allowed is a mapping of keys to values`},
		"nothing":                               {"name: a\n" + kind + "group:\n", `f.yaml:3:1: group: found nothing, allowed is text`},
		"a number for a duration":               {"name: a\n" + kind + "every: 5\n", `f.yaml:3:8: every: found "5", allowed is a duration such as 90s, 5m or 1h30m`},
		"text that is no duration":              {"name: a\n" + kind + "every: soon\n", `f.yaml:3:8: every: found "soon", allowed is a duration`},
		"a period of nothing":                   {"name: a\n" + kind + "every: 0s\n", `f.yaml:3:8: every: found "0s", allowed is a value above 0, or leaving it out`},
		"a timeout of nothing":                  {"name: a\n" + kind + "timeout: 0m\n", `f.yaml:3:10: timeout: found "0m", allowed is a value above 0`},
		"times that are empty":                  {"name: a\n" + kind + "cron: \"\"\n", `f.yaml:3:7: cron: found "", allowed is text that is not empty, or leaving it out`},
		"a name for what is empty":              {"name: a\n" + kind + "description: &d \"\"\ncron: *d\n", `f.yaml:4:7: cron: found "", allowed is text that is not empty`},
		"no attempt":                            {"name: a\n" + kind + "retry: {attempts: 0}\n", `f.yaml:3:19: retry.attempts: found "0", allowed is a value above 0`},
		"a limit of nothing":                    {"name: a\nexec: {command: [a], limits: {memory: 0}}\n", `f.yaml:2:39: exec.limits.memory: found "0", allowed is a value above 0`},
		"text for a list of numbers":            {"name: a\nexec: {command: [a], ports: x}\n", `f.yaml:2:29: exec.ports: found "x", allowed is a list, such as [443]`},
		"text for a whole number":               {"name: a\n" + kind + "retry: {attempts: x}\n", `f.yaml:3:19: retry.attempts: found "x", allowed is a whole number`},
		"text for a number":                     {"name: a\n" + kind + "retry: {factor: x}\n", `f.yaml:3:17: retry.factor: found "x", allowed is a number`},
		"a value that the model refuses":        {"name: Orders\n" + kind, `f.yaml:1:7: name: found "Orders", allowed is 1 to 63 of`},
		"a value refused in a list":             {"name: a\nexec:\n  command: [a, \"x\\0y\"]\n", `f.yaml:3:16: exec.command[1]: found "x\x00y", allowed is text without NUL`},
		"a value refused in a mapping":          {"name: a\nexec:\n  command: [a]\n  env:\n    SYSTOLE_X: y\n", `f.yaml:5:16: exec.env.SYSTOLE_X: found "SYSTOLE_X", allowed is`},
		"an unknown policy":                     {"name: a\n" + kind + "overlap: never\n", `f.yaml:3:10: overlap: found "never", allowed is forbid`},
		"a field that is not there, by parent":  {"name: a\nhttp:\n  method: GET\n", `f.yaml:2:1: http.url: found "", allowed is`},
		"a field that is not there, at the top": {"\n\n# c\nexec: {command: [a]}\n", `f.yaml:4:1: name: found "", allowed is`},
		"no kind":                               {"name: a\n", `f.yaml:1:1: found "no kind", allowed is exactly one of function, exec, http, wasm`},
		"two kinds":                             {"name: a\n" + kind + "http: {url: \"http://x\"}\n", `f.yaml:3:1: http: found "exec and http", allowed is exactly one`},
		"a list as the document":                {"- a\n- b\n", `f.yaml:1:1: found a list, allowed is a mapping`},
		"text as the document":                  {"hello\n", `f.yaml:1:1: found "hello", allowed is a mapping`},
		"a tab":                                 {"name: a\n\texec: b\n", `f.yaml:2:1: found YAML that cannot be read: found character '	'`},
		"a bracket left open":                   {"name: a\nexec: [\n", `f.yaml:2:7: found YAML that cannot be read: sequence end token ']' not found`},
		"a control character":                   {"name: a\nexec: b\x01\n", `f.yaml:2:8: found the byte 0x01, allowed is UTF-8 text`},
		"bytes that are not UTF-8":              {"name: ü\xff\n", `f.yaml:1:8: found the byte 0xff, allowed is UTF-8 text`},
		"a tag":                                 {"name: !!str a\n", `f.yaml:1:7: found the tag "!!str", allowed is plain YAML`},
		"a merge key":                           {"name: a\n" + kind + "<<: {a: b}\n", `f.yaml:3:1: found the key "<<", allowed is keys of plain text`},
		"text for true or false":                {"name: a\nhttp: {url: \"http://x\", callback: maybe}\n", `f.yaml:2:35: http.callback: found "maybe", allowed is true or false`},
		"a number as a key":                     {"name: a\nexec:\n  command: [a]\n  env: {1: x}\n", `f.yaml:4:9: exec.env: found the key "1", allowed is keys of plain text`},
		"an alias of nothing":                   {"name: *x\n" + kind, `f.yaml:1:7: name: found the alias "x", allowed is an alias of an anchor that ends before it`},
		"an alias of a later anchor":            {"name: *x\n" + "exec: {command: [&x a]}\n", `f.yaml:1:7: name: found the alias "x"`},
		"an anchor within itself":               {"name: a\nexec: &x {command: [a], env: *x}\n", `f.yaml:2:30: exec.env: found the alias "x"`},
		"a doubled anchor":                      {"name: &x a\nexec: {command: [&x b]}\n", `f.yaml:2:18: found the anchor "x" a second time`},
		"a number in params that JSON lacks":    {"name: a\n" + kind + "params: {x: .inf}\n", `f.yaml:3:13: params.x: found ".inf", allowed is a value that JSON has, too`},
		"a place in a later document":           {good + "---\n\nname: B\n" + kind, `f.yaml:5:7: name: found "B"`},
		"a place after lines of Windows":        {"name: a\r\nexec: {command: [a]}\r\nevery: x\r\n", `f.yaml:3:8: every: found "x"`},
		"a name that was there before":          {good + "---\n" + good, `f.yaml:4:7: name: found "orders", which f.yaml:1:7 already defines in group "default"`},
		"brackets without end":                  {strings.Repeat("[", 70), `f.yaml:1:65: found brackets nested more than 64 deep`},
		"a document without end":                {"name: a\n" + strings.Repeat("- x\n", 6000), `f.yaml:1:1: found a document of`},
		"a file that is too large":              {strings.Repeat("#", manifest.MaxFile+1), `f.yaml: found more than 1 MiB`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flows, err := manifest.Parse("f.yaml", []byte(test.text))
			if len(flows) > 0 {
				t.Errorf("got %d flows beside the error", len(flows))
			}
			var errs manifest.Errors
			if !errors.As(err, &errs) || len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), test.want) {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestParseReportsEverythingAtOnceInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	_, err := manifest.Parse("f.yaml", []byte("name: [\n---\nname: B\nevery: 5\nfoo: x\nexec: {command: [1, 2]}\n---\nname: c\n"))
	var errs manifest.Errors
	if !errors.As(err, &errs) {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, e := range errs {
		fields = append(fields, fmt.Sprintf("%d %s", e.Line, e.Field))
	}
	want := []string{"1 ", "3 name", "4 every", "5 foo", "6 exec.command[0]", "6 exec.command[1]", "8 "}
	if !reflect.DeepEqual(fields, want) {
		t.Errorf("got %q, want %q\n%v", fields, want, err)
	}
}

func TestParseNeverRepeatsTheValueOfAVariableOrHeader(t *testing.T) {
	t.Parallel()
	_, err := manifest.Parse("f.yaml", []byte("name: a\nexec: {command: [a], env: {TOKEN: 31337}}\nhttp: {url: \"http://x\", headers: {X-Key: 31337}}\n"))
	if err == nil || strings.Contains(err.Error(), "31337") {
		t.Errorf("got %v", err)
	}
}

func TestParseBoundsWhatAliasesExpandTo(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("name: a\nexec: {command: [a]}\nparams:\n  x0: &x0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&bomb, "  x%d: &x%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10), ", "))
	}
	_, err := manifest.Parse("f.yaml", []byte(bomb.String()))
	if err == nil || !strings.Contains(err.Error(), "aliases that expand to too much") {
		t.Errorf("got %.300v", err)
	}
}

func TestParseEndsTheListOfErrorsSomewhere(t *testing.T) {
	t.Parallel()
	_, err := manifest.Parse("f.yaml", []byte(strings.Repeat("nme: a\n---\n", 10_000)))
	var errs manifest.Errors
	if !errors.As(err, &errs) || len(errs) != 1001 || !strings.Contains(errs[1000].Found, "more than 1000 errors") {
		t.Errorf("got %d errors", len(errs))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good + "---\n" + good))
	f.Add([]byte("name: &n a\nexec:\n  command: [*n, 5]\n  env: {A: ~}\nparams: {a: [1, .inf, 0x10, {b: *n}]}\n"))
	f.Add([]byte("? [a]\n: - - - x\n<<: *a\n!!map {a: b}\n"))
	f.Add([]byte("{\"name\":\"a\",\"http\":{\"url\":\"http://x\"}}"))
	f.Add([]byte("name: |+2\n   a\n\n...\n%YAML 1.2\n--- >-\n folded\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		flows, err := manifest.Parse("f.yaml", data)
		if err != nil && len(flows) > 0 {
			t.Fatalf("flows beside an error: %v", err)
		}
		for _, flow := range flows {
			if invalid := flow.Validate(); invalid != nil || flow.Line < 1 {
				t.Fatalf("accepted %+v, which is invalid: %v", flow, invalid)
			}
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 2
		var errs manifest.Errors
		if errors.As(err, &errs) {
			for _, e := range errs {
				if e.Line > lines || (e.Line < 1 && len(data) <= manifest.MaxFile) || e.Found == "" {
					t.Fatalf("an error at no place of the file: %+v", e)
				}
			}
		}
	})
}

func ExampleParse() {
	_, err := manifest.Parse("flows/orders.yaml", []byte("name: orders\nevery: 5\nexec:\n  comand: [\"./sync.sh\"]\n"))
	fmt.Println(err)
	// Output:
	// flows/orders.yaml:2:8: every: found "5", allowed is a duration such as 90s, 5m or 1h30m
	// flows/orders.yaml:3:1: exec.command: found "", allowed is a list, program first, such as ["./sync.sh", "--full"]
	// flows/orders.yaml:4:3: exec.comand: found an unknown key (did you mean command?), allowed is command, dir, env, sandbox, files, ports, limits
}
