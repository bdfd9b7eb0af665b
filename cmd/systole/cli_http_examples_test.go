package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// Whatever the admin API and the gateway offer has a line in the help of their role, and all of these lines are run.
func TestTheHelpHasAnExampleForEachThingThatIsServed(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	_, document := ask(t, http.MethodGet, dev.url+"/api/openapi.json", "")
	var spec struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(document), &spec); err != nil || len(spec.Paths) < 10 {
		t.Fatalf("%d paths, %v", len(spec.Paths), err)
	}
	for path, methods := range spec.Paths {
		for method := range methods {
			expectExample(t, consoleExamples, method, path)
		}
	}
	for _, path := range []string{"/api/openapi.json", "/api/flow.schema.json"} {
		expectExample(t, consoleExamples, "get", path)
	}
	for _, served := range []string{
		"get /heartbeat", "post /heartbeat", "get /heartbeat/{group}", "post /heartbeat/{group}", "post /run/{group}/{flow}",
		"get /healthz", "get /readyz", "get /metrics",
	} {
		method, path, _ := strings.Cut(served, " ")
		expectExample(t, gatewayExamples, method, path)
	}
}

var placePattern = regexp.MustCompile(`\{[a-z]+\}`)

// expectExample fails the test unless a line calls this path with this method.
func expectExample(t *testing.T, examples, method, path string) {
	t.Helper()
	want := regexp.MustCompile(`^http://127\.0\.0\.1:\d+` + placePattern.ReplaceAllString(path, `[a-z0-9~-]+`) + `(\?[^ ]*)?$`)
	for line := range strings.Lines(examples) {
		_, args := words(nil, line)
		if args[0] != "curl" {
			continue
		}
		request := readCurl(t, args[1:])
		if strings.EqualFold(request.method, method) && want.MatchString(request.url) {
			return
		}
	}
	t.Errorf("no example sends %s %s", method, path)
}

// curlRequest is what curl sends for the arguments that the examples use.
type curlRequest struct {
	method, url, body string
	header            http.Header
}

func readCurl(t *testing.T, args []string) curlRequest {
	t.Helper()
	r := curlRequest{header: http.Header{}}
	for len(args) > 1 {
		value := args[1]
		switch args[0] {
		case "-X":
			r.method = value
		case "--json":
			r.body = value
			r.header.Set("Content-Type", "application/json")
		case "-H":
			name, text, _ := strings.Cut(value, ": ")
			r.header.Set(name, text)
		default:
			t.Fatalf("this test does not know curl %s", args[0])
		}
		args = args[2:]
	}
	r.url = args[0]
	if r.method == "" {
		r.method = http.MethodGet
		if r.body != "" {
			r.method = http.MethodPost
		}
	}
	return r
}

// curl does what curl would with these arguments.
func curl(t *testing.T, args []string) (status int, body string) {
	t.Helper()
	r := readCurl(t, args)
	request, err := http.NewRequestWithContext(t.Context(), r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = r.header
	return send(t, http.DefaultClient, request)
}
