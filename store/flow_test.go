package store_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// function is a definition with nothing wrong, to be changed in one place.
func function(name string, change ...func(*store.DataFlow)) store.DataFlow {
	flow := store.DataFlow{Name: name, Function: &store.FunctionSpec{Name: "f"}}
	for _, c := range change {
		c(&flow)
	}
	return flow.WithDefaults()
}

func everyMinute(f *store.DataFlow) { f.Every = store.Duration(time.Minute) }

func TestValidateAcceptsWhatCanBeRun(t *testing.T) {
	t.Parallel()
	for name, flow := range map[string]store.DataFlow{
		"on demand":      function("a"),
		"every":          function("a", everyMinute),
		"shortest every": function("a", func(f *store.DataFlow) { f.Every = store.Duration(store.MinEvery) }),
		"longest every":  function("a", func(f *store.DataFlow) { f.Every = store.Duration(store.MaxEvery) }),
		"cron":           function("a", func(f *store.DataFlow) { f.Cron = "0 9 * * 1-5"; f.Timezone = "Europe/Berlin" }),
		"longest name":   function("a" + strings.Repeat("_", 62)),
		"one attempt":    function("a", func(f *store.DataFlow) { f.Retry = &store.Retry{Attempts: 1} }),
		"exec": function("a", func(f *store.DataFlow) {
			f.Function, f.Exec = nil, &store.ExecSpec{Command: []string{"sh", "-c", ""}, Env: map[string]string{"A_1": "x\ty", "B": "env:B_1", "C": "file:/run/secrets/my c", "D": "secret:db/pass.word"}}
		}),
		"http": function("a", func(f *store.DataFlow) {
			f.Function, f.HTTP = nil, &store.HTTPSpec{URL: "https://example.com/x?y=1", Headers: map[string]string{"X-Key": "v"}}
		}),
		"wasm": function("a", func(f *store.DataFlow) {
			f.Function, f.WASM = nil, &store.WASMSpec{Module: "a/x.wasm", Args: []string{"-v"}, Env: map[string]string{"A": "secret:a"}, Memory: 64 << 20, Folders: map[string]string{"/": "/srv/data"}, Clock: true}
		}),
	} {
		if err := flow.WithDefaults().Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	exec := func(change func(*store.ExecSpec)) func(*store.DataFlow) {
		return func(f *store.DataFlow) {
			f.Function, f.Exec = nil, &store.ExecSpec{Command: []string{"true"}}
			change(f.Exec)
		}
	}
	web := func(change func(*store.HTTPSpec)) func(*store.DataFlow) {
		return func(f *store.DataFlow) {
			f.Function, f.HTTP = nil, &store.HTTPSpec{URL: "http://example.com", Method: "POST"}
			change(f.HTTP)
		}
	}
	wasm := func(change func(*store.WASMSpec)) func(*store.DataFlow) {
		return func(f *store.DataFlow) {
			f.Function, f.WASM = nil, &store.WASMSpec{Module: "x.wasm"}
			change(f.WASM)
		}
	}
	url := func(u string) func(*store.DataFlow) { return web(func(s *store.HTTPSpec) { s.URL = u }) }
	header := func(name, value string) func(*store.DataFlow) {
		return web(func(s *store.HTTPSpec) { s.Headers = map[string]string{name: value} })
	}
	params := func(text string) func(*store.DataFlow) {
		return func(f *store.DataFlow) { f.Params = json.RawMessage(text) }
	}
	env := func(name, value string) func(*store.DataFlow) {
		return exec(func(s *store.ExecSpec) { s.Env = map[string]string{name: value} })
	}
	retry := func(change func(*store.Retry)) func(*store.DataFlow) {
		return func(f *store.DataFlow) {
			f.Retry = &store.Retry{Attempts: 3}
			*f = f.WithDefaults()
			change(f.Retry)
		}
	}
	for _, test := range []struct {
		name   string
		change func(*store.DataFlow)
		field  string
		says   string // part of what is allowed
	}{
		{"no name", func(f *store.DataFlow) { f.Name = "" }, "name", "1 to 63"},
		{"a name in upper case", func(f *store.DataFlow) { f.Name = "Orders" }, "name", "a-z"},
		{"a name with a dot", func(f *store.DataFlow) { f.Name = "a.b" }, "name", "a-z"},
		{"a name that starts with a dash", func(f *store.DataFlow) { f.Name = "-a" }, "name", "letter or digit"},
		{"a name that is too long", func(f *store.DataFlow) { f.Name = strings.Repeat("a", 64) }, "name", "63"},
		{"a name with a line end", func(f *store.DataFlow) { f.Name = "a\n" }, "name", "a-z"},
		{"a group with a brace", func(f *store.DataFlow) { f.Group = "{g}" }, "group", "a-z"},
		{"an every that is too short", func(f *store.DataFlow) { f.Every = store.Duration(99 * time.Millisecond) }, "every", "100ms"},
		{"an every below zero", func(f *store.DataFlow) { f.Every = store.Duration(-time.Minute) }, "every", "100ms"},
		{"an every that is too long", func(f *store.DataFlow) { f.Every = store.Duration(store.MaxEvery + time.Hour) }, "every", "8784h"},
		{"an every in parts of a millisecond", func(f *store.DataFlow) { f.Every = store.Duration(time.Second + time.Microsecond) }, "every", "millisecond"},
		{"every and cron", func(f *store.DataFlow) { f.Every, f.Cron = store.Duration(time.Minute), "* * * * *" }, "cron", "not both"},
		{"a timezone without cron", func(f *store.DataFlow) { f.Timezone = "UTC" }, "timezone", "beside cron"},
		{"a bad cron", func(f *store.DataFlow) { f.Cron = "often" }, "cron", "five fields"},
		{"a date that never comes", func(f *store.DataFlow) { f.Cron = "0 0 30 2 *" }, "cron", "five fields"},
		{"an unknown timezone", func(f *store.DataFlow) { f.Cron, f.Timezone = "* * * * *", "Berlin" }, "timezone", "Europe/Berlin"},
		{"a timeout below zero", func(f *store.DataFlow) { f.Timeout = -1 }, "timeout", "168h"},
		{"a timeout over a week", func(f *store.DataFlow) { f.Timeout = store.Duration(169 * time.Hour) }, "timeout", "168h"},
		{"overlap", func(f *store.DataFlow) { f.Overlap = "never" }, "overlap", "forbid (one at a time), allow (side by side)"},
		{"an odd catchup", func(f *store.DataFlow) { f.Catchup = "some" }, "catchup", "latest"},
		{"catchup_limit", func(f *store.DataFlow) { f.CatchupLimit = 3 }, "catchup_limit", "beside catchup: all"},
		{"a negative start_deadline", func(f *store.DataFlow) { f.StartDeadline = store.Duration(-time.Minute) }, "start_deadline", "above 0"},
		{"a negative pause_after", func(f *store.DataFlow) { f.PauseAfter = -1 }, "pause_after", "0 (never)"},
		{"too many attempts", retry(func(r *store.Retry) { r.Attempts = 1000 }), "retry.attempts", "1 to 100"},
		{"a wait that shrinks", retry(func(r *store.Retry) { r.Factor = 0.5 }), "retry.factor", "1 to 100"},
		{"a longest wait below the first", retry(func(r *store.Retry) { r.Max = 1 }), "retry.max", "retry.initial"},
		{"more than all of the wait as jitter", retry(func(r *store.Retry) { r.Jitter = 2 }), "retry.jitter", "0 to 1"},
		{"params that are no schema", params(`[]`), "params", "an object"},
		{"params of another type", params(`{"type":"array"}`), "params.type", "object"},
		{"params of no type", params(`{"properties":{"day":{"type":"date"}}}`), "params.properties.day.type", "string"},
		{"params with a schema from elsewhere", params(`{"$ref":"https://example.com/x"}`), "params.$ref", "#/$defs"},
		{"concurrency key", func(f *store.DataFlow) { f.Concurrency = &store.Concurrency{Key: "K|", Max: 1} }, "concurrency.key", "a-z"},
		{"concurrency max", func(f *store.DataFlow) { f.Concurrency = &store.Concurrency{Key: "k"} }, "concurrency.max", "1 to 10000 runs at a time"},
		{"no kind", func(f *store.DataFlow) { f.Function = nil }, "", "exactly one of"},
		{"two kinds", func(f *store.DataFlow) { f.Exec = &store.ExecSpec{Command: []string{"true"}} }, "function", "exactly one of"},
		{"a pipeline", func(f *store.DataFlow) { f.Function, f.Pipeline = nil, json.RawMessage(`{}`) }, "pipeline", "this version"},
		{"a wasm flow without a module", wasm(func(s *store.WASMSpec) { s.Module = "" }), "wasm.module", "hello.wasm"},
		{"a module somewhere", wasm(func(s *store.WASMSpec) { s.Module = "/x.wasm" }), "wasm.module", "within"},
		{"a module out of the folder", wasm(func(s *store.WASMSpec) { s.Module = "../x.wasm" }), "wasm.module", "within"},
		{"a module's argument with a NUL byte", wasm(func(s *store.WASMSpec) { s.Args = []string{"a", "b\x00"} }), "wasm.args[1]", "NUL"},
		{"a module's variable of the runtime's own", wasm(func(s *store.WASMSpec) { s.Env = map[string]string{"SYSTOLE_X": "1"} }), "wasm.env.SYSTOLE_X", "SYSTOLE_"},
		{"too little memory", wasm(func(s *store.WASMSpec) { s.Memory = 1 << 10 }), "wasm.memory", "64KiB"},
		{"too much memory", wasm(func(s *store.WASMSpec) { s.Memory = 5 << 30 }), "wasm.memory", "4GiB"},
		{"a folder at no path", wasm(func(s *store.WASMSpec) { s.Folders = map[string]string{"data": "/srv"} }), "wasm.folders.data", "/data"},
		{"a folder that is nowhere", wasm(func(s *store.WASMSpec) { s.Folders = map[string]string{"/data": "/srv/../etc"} }), "wasm.folders./data", "absolute"},
		{"a function without a name", func(f *store.DataFlow) { f.Function = &store.FunctionSpec{} }, "function.name", "registered"},
		{"a function with an odd isolation", func(f *store.DataFlow) { f.Function.Isolation = "thread" }, "function.isolation", "process"},
		{"an odd sandbox", exec(func(s *store.ExecSpec) { s.Sandbox = "loose" }), "exec.sandbox", "strict"},
		{"files without a strict sandbox", exec(func(s *store.ExecSpec) { s.Sandbox, s.Files = "standard", &store.ExecFiles{} }), "exec.files", "strict"},
		{"ports without a strict sandbox", exec(func(s *store.ExecSpec) { s.Sandbox, s.Ports = "none", []int{1} }), "exec.ports", "strict"},
		{"a port that is none", exec(func(s *store.ExecSpec) { s.Ports = []int{443, 65536} }), "exec.ports[1]", "65535"},
		{"a relative path", exec(func(s *store.ExecSpec) { s.Files = &store.ExecFiles{Read: []string{"data"}} }), "exec.files.read[0]", "absolute"},
		{"a path that is not clean", exec(func(s *store.ExecSpec) { s.Files = &store.ExecFiles{Write: []string{"/a/../b"}} }), "exec.files.write[0]", "clean"},
		{"CPU time below zero", exec(func(s *store.ExecSpec) { s.Limits = &store.Limits{CPU: -1} }), "exec.limits.cpu", "above 0"},
		{"less than no memory", exec(func(s *store.ExecSpec) { s.Limits = &store.Limits{Memory: -1} }), "exec.limits.memory", "64KiB"},
		{"too many processes", exec(func(s *store.ExecSpec) { s.Limits = &store.Limits{Processes: 1 << 20} }), "exec.limits.processes", "100000"},
		{"too few files to start", exec(func(s *store.ExecSpec) { s.Limits = &store.Limits{OpenFiles: 3} }), "exec.limits.open_files", "8"},
		{"no command", exec(func(s *store.ExecSpec) { s.Command = nil }), "exec.command", "a list"},
		{"an empty program", exec(func(s *store.ExecSpec) { s.Command = []string{"", "x"} }), "exec.command", "a list"},
		{"a NUL in the working folder", exec(func(s *store.ExecSpec) { s.Dir = "a\x00" }), "exec.dir", "NUL"},
		{"a NUL in an argument", exec(func(s *store.ExecSpec) { s.Command = []string{"a", "b\x00"} }), "exec.command[1]", "NUL"},
		{"an env name with a dash", env("A-B", "x"), "exec.env.A-B", "letters"},
		{"an env name of the runtime's own", env("SYSTOLE_TOKEN", "x"), "exec.env.SYSTOLE_TOKEN", "SYSTOLE_"},
		{"a reference to no variable", env("A", "env:TO-KEN"), "exec.env.A", "env:NAME"},
		{"a reference to a setting", env("A", "env:SYSTOLE_NATS__PASSWORD"), "exec.env.A", "env:NAME"},
		{"a reference to a file somewhere", env("A", "file:token"), "exec.env.A", "file:/path"},
		{"a reference by another spelling", env("A", "file:/a/../token"), "exec.env.A", "file:/path"},
		{"a reference out of the folder", env("A", "secret:../token"), "exec.env.A", "secret:NAME"},
		{"a reference to a hidden file", env("A", "secret:a/.token"), "exec.env.A", "secret:NAME"},
		{"a reference among the arguments", exec(func(s *store.ExecSpec) { s.Command = []string{"a", "env:TOKEN"} }), "exec.command[1]", "exec.env"},
		{"a line end in env", env("A", "x\ny"), "exec.env.A", "control"},
		{"a relative URL", url("/path"), "http.url", "absolute"},
		{"a URL of another scheme", url("ftp://example.com"), "http.url", "http"},
		{"a URL with a fragment", url("http://example.com/#x"), "http.url", "fragment"},
		{"a URL that is none", url("http://[::1"), "http.url", "absolute"},
		{"a password in the URL", url("http://user:hunter2@example.com"), "http.url", "password"},
		{"an odd method", web(func(s *store.HTTPSpec) { s.Method = "TRACE" }), "http.method", "GET"},
		{"a header that the runtime sets", header("Webhook-ID", "x"), "http.headers.Webhook-ID", "runtime"},
		{"a header name with a space", header("a b", "x"), "http.headers.a b", "header name"},
		{"a header with a line end", header("A", "x\r\nB: y"), "http.headers.A", "control"},
		{"a bearer token itself", web(func(s *store.HTTPSpec) { s.Bearer = "hunter22hunter22" }), "http.bearer", "secret:NAME"},
		{"a bearer token beside its header", web(func(s *store.HTTPSpec) { s.Bearer = "env:A"; s.Headers = map[string]string{"authorization": "x"} }), "http.headers.authorization", "http.bearer"},
		{"a signing key itself", web(func(s *store.HTTPSpec) { s.Sign = []string{"env:A", "whsec_hunter22"} }), "http.sign[1]", "secret:NAME"},
		{"too many signatures", web(func(s *store.HTTPSpec) { s.Sign = []string{"env:A", "env:B", "env:C", "env:D"} }), "http.sign", "up to 3"},
		{"a certificate without its key", web(func(s *store.HTTPSpec) { s.URL = "https://x"; s.TLS = &store.HTTPTLS{Cert: "env:A"} }), "http.tls", "both or neither"},
		{"TLS for a plain URL", web(func(s *store.HTTPSpec) { s.TLS = &store.HTTPTLS{CA: "env:A"} }), "http.tls", "https"},
		{"a CA itself", web(func(s *store.HTTPSpec) { s.URL = "https://x"; s.TLS = &store.HTTPTLS{CA: "-----BEGIN"} }), "http.tls.ca", "secret:NAME"},
		{"a callback for a GET", web(func(s *store.HTTPSpec) { s.Method, s.Callback = "GET", true }), "http.callback", "POST"},
		{"a reference to no secret in a header", header("Authorization", "secret:"), "http.headers.Authorization", "secret:NAME"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := function("a", test.change).Validate()
			var invalid store.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if len(invalid) != 1 || invalid[0].Field != test.field || !strings.Contains(invalid[0].Allowed, test.says) {
				t.Errorf("got %v, want one error of %q that says %q", err, test.field, test.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
}

func TestValidateReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	err := store.DataFlow{
		Name: "A", Group: "B", Every: 1, Timeout: -1, Overlap: "x", Catchup: "y", PauseAfter: -1,
		Exec: &store.ExecSpec{Env: map[string]string{"1": "x"}}, HTTP: &store.HTTPSpec{},
	}.Validate()
	var invalid store.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, e := range invalid {
		fields = append(fields, e.Field)
	}
	want := []string{
		"name", "group", "every", "every", "timeout", "overlap", "catchup", "pause_after", "http", "exec.command",
		"exec.env.1", "http.url", "http.method",
	}
	if !slices.Equal(fields, want) {
		t.Errorf("fields %v\nwant   %v", fields, want)
	}
}

func TestLongValuesAreCutInErrors(t *testing.T) {
	t.Parallel()
	err := function("a" + strings.Repeat("ü", 5000)).Validate()
	if len(err.Error()) > 400 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
	if strings.Contains(err.Error(), `\x`) {
		t.Errorf("a character was cut in two: %v", err)
	}
}

func TestDecodeFlowReadsWhatEncodingWrites(t *testing.T) {
	t.Parallel()
	flow := function("a", everyMinute, func(f *store.DataFlow) { f.Description = "ä \"quoted\"" })
	encoded, err := json.Marshal(flow)
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.DecodeFlow(encoded)
	if err != nil || !reflect.DeepEqual(got, flow) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, flow)
	}
	if got, err = store.DecodeFlow([]byte(`{"name":"a","cron":"@daily","http":{"url":"http://x"}}`)); err != nil ||
		got.Group != "default" || got.Timezone != "UTC" || got.HTTP.Method != "POST" || got.Timeout != store.Duration(5*time.Minute) || got.Kind() != "http" {
		t.Errorf("defaults: %+v, %v", got, err)
	}
}

func TestDecodeFlowRefusesWhatCouldBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, field string }{
		{"an unknown key", `{"name":"a","function":{"name":"f"},"evry":"5m"}`, "evry"},
		{"an unknown key within", `{"name":"a","function":{"name":"f","arg":1}}`, "function.arg"},
		{"a key in another case", `{"name":"a","function":{"name":"f"},"Every":"5m"}`, "Every"},
		{"a doubled key", `{"name":"a","function":{"name":"f"},"every":"5m","every":"1h"}`, "every"},
		{"a doubled key within", `{"name":"a","exec":{"command":["true"],"env":{"A":"1","A":"2"}}}`, "exec.env.A"},
		{"data after it", `{"name":"a","function":{"name":"f"}} {}`, ""},
		{"half of it", `{"name":"a","function":{`, ""},
		{"nothing", ``, ""},
		{"a list", `[{"name":"a"}]`, ""},
		{"text in place of an object", `{"name":"a","function":"f"}`, "function"},
		{"bytes that are not UTF-8", "{\"name\":\"\xff\"}", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := store.DecodeFlow([]byte(test.text))
			var invalid store.InvalidError
			if !errors.As(err, &invalid) || invalid[0].Field != test.field || invalid[0].Found == "" || invalid[0].Allowed == "" {
				t.Errorf("got %v, want an InvalidError of %q", err, test.field)
			}
		})
	}
}

func TestDecodeFlowNamesAWrongDuration(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`"often"`, `300`} {
		_, err := store.DecodeFlow([]byte(`{"name":"a","function":{"name":"f"},"every":` + text + `}`))
		if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "5m") {
			t.Errorf("every %s: %v", text, err)
		}
	}
}

func FuzzDecodeFlowGivesAFlowThatCanBePutOrAnInvalidError(f *testing.F) {
	f.Add([]byte(`{"name":"a","every":"5m","function":{"name":"f"}}`))
	f.Add([]byte(`{"name":"a","cron":"*/5 * * * *","timezone":"Europe/Berlin","http":{"url":"http://x","headers":{"A":"b"}}}`))
	f.Add([]byte(`{"name":"a","exec":{"command":["x"]},"retry":{"attempts":1}}`))
	f.Add([]byte(`{"name":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		flow, err := store.DecodeFlow(data)
		var invalid store.InvalidError
		if err != nil && !errors.As(err, &invalid) {
			t.Fatalf("%v is no InvalidError", err)
		}
		if err != nil {
			return
		}
		encoded, err := json.Marshal(flow)
		if err != nil {
			t.Fatalf("%q can be decoded, but not encoded: %v", data, err)
		}
		if again, err := store.DecodeFlow(encoded); err != nil || !reflect.DeepEqual(again, flow) {
			t.Fatalf("%s reads back as %+v, %v", encoded, again, err)
		}
	})
}

func TestAFlowTellsWhichSecretsItRefersToAndWhere(t *testing.T) {
	t.Parallel()
	flow := store.DataFlow{
		Exec: &store.ExecSpec{Command: []string{"file:/not/this"}, Env: map[string]string{"A": "env:A", "B": "plain", "C": "envy:X"}},
		HTTP: &store.HTTPSpec{
			Headers: map[string]string{"X-Key": "secret:key"}, Bearer: "env:B", Sign: []string{"env:S1", "env:S2"},
			TLS: &store.HTTPTLS{Cert: "secret:crt", Key: "secret:key", CA: "file:/ca"},
		},
	}
	want := map[string]string{
		"exec.env.A": "env:A", "http.headers.X-Key": "secret:key", "http.bearer": "env:B", "http.sign[0]": "env:S1", "http.sign[1]": "env:S2",
		"http.tls.cert": "secret:crt", "http.tls.key": "secret:key", "http.tls.ca": "file:/ca",
	}
	if got := flow.SecretRefs(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
