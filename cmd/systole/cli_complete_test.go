package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// scriptedAPI answers by method and path, and 404 for everything else.
func scriptedAPI(t *testing.T, answers map[string]string) (environ []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return []string{"SYSTOLE_SERVER=" + server.URL}
}

func TestTheShellIsOfferedWhatThereIs(t *testing.T) {
	t.Parallel()
	env := scriptedAPI(t, map[string]string{
		"GET /api/v1/flows": `{"flows":[{"name":"orders"},{"name":"report"},{"name":"orders-late"},{"name":"or\u001b[31m"}]}`,
		"GET /api/v1/runs":  `{"runs":[{"id":"orders~1","status":"in_progress"},{"id":"orders~2","status":"failed"},{"id":"report~3","status":"success"}]}`,
		"GET /api/v1/dead":  `{"runs":[{"id":"orders~2","status":"failed"},{"id":"report~4","status":"failed"}]}`,
	})
	for _, test := range []struct{ line, offered string }{
		{"flow show ,", "orders report orders-late"},
		{"flow show ,or", "orders orders-late"},
		{"flow pause ,rep", "report"},
		{"flow resume ,rep", "report"},
		{"flow slots ,rep", "report"},
		{"flow run ,rep", "report"},
		{"flow delete ,rep", "report"},
		{"flow pause orders ,", ""},
		{"run show ,", "orders~1 orders~2 report~3"},
		{"run logs ,orders~", "orders~1 orders~2"},
		{"run cancel ,", "orders~1"},
		{"run retry ,", "orders~2 report~3"},
		{"run list --flow ,rep", "report"},
		{"run list --status ,", "pending in_progress success failed cancelled"},
		{"flow list -o ,", "table json yaml"},
		{"dead retry ,", "orders~2 report~4"},
		{"dead purge orders~2 ,", "report~4"},
		{"dead ,p", "purge"},
	} {
		line, typed, _ := strings.Cut(test.line, ",")
		args := append([]string{"__completeNoDesc"}, append(strings.Fields(line), typed)...)
		got, _, _ := strings.Cut(run(t, env, args...).expect(t, exitFine).out, ":")
		if offered := strings.Join(strings.Fields(got), " "); offered != test.offered {
			t.Errorf("systole %s: offered are %q, want %q", test.line, offered, test.offered)
		}
	}
}

func TestWhatCannotBeOfferedIsNotTalkedAbout(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"nobody is there":    {"SYSTOLE_SERVER=http://127.0.0.1:1"},
		"no server":          {"SYSTOLE_SERVER=localhost"},
		"the server refuses": scriptedAPI(t, nil),
		"no answer of ours":  scriptedAPI(t, map[string]string{"GET /api/v1/flows": "<html>"}),
	} {
		for _, command := range [][]string{{"flow", "show"}, {"run", "cancel"}, {"dead", "purge"}} {
			a := run(t, env, append(append([]string{"__complete"}, command...), "")...).expect(t, exitFine)
			if !strings.HasPrefix(a.out, ":4\n") || strings.Contains(a.err, "127.0.0.1") || strings.Contains(a.err, "rror") {
				t.Errorf("%s: %v says %s", name, command, a)
			}
		}
	}
}

func TestEveryShellGetsItsScript(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		run(t, nil, "completion", shell).expect(t, exitFine, "systole", "__complete")
	}
	run(t, nil, "--help").expect(t, exitFine, "completion")
}
