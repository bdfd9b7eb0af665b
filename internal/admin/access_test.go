package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/admin"
	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// R2.5
func TestARequestNeedsACredentialWithTheScopeInTheGroup(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	const shop = `{"name":"a","group":"shop","exec":{"command":["a"]}}`
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	s.want(t, 201, "POST", "/api/v1/flows", shop)
	tests := []struct {
		name, token, method, path, body string
		status                          int
	}{
		{"no token", "", "GET", "/api/v1/flows", "", 401},
		{"a wrong token", "wrong-0123456789abcdef0123456789abcd", "GET", "/api/v1/flows", "", 401},
		{"a token for heartbeats", tokenBeats, "GET", "/api/v1/flows", "", 403},
		{"a token for reading reads", tokenRead, "GET", "/api/v1/flows", "", 200},
		{"a token for reading does not delete", tokenRead, "DELETE", "/api/v1/flows/orders", "", 403},
		{"a token for reading does not write", tokenRead, "POST", "/api/v1/flows", orders, 403},
		{"a token for reading does not apply", tokenRead, "POST", "/api/v1/flows:apply", `{"flows":[` + orders + `]}`, 403},
		{"a token for reading does not run", tokenRead, "POST", "/api/v1/flows/orders/runs", "", 403},
		{"a token for running runs", tokenRun, "POST", "/api/v1/flows/orders/runs", "", 202},
		{"a token for running does not read", tokenRun, "GET", "/api/v1/flows/orders", "", 403},
		{"a token of a group reads there", tokenShop, "GET", "/api/v1/flows?group=shop", "", 200},
		{"a token of a group reads nowhere else", tokenShop, "GET", "/api/v1/flows", "", 403},
		{"a token of a group writes there", tokenShop, "PUT", "/api/v1/flows/a", shop, 200},
		{"a token of a group writes nowhere else", tokenShop, "PUT", "/api/v1/flows/a", strings.Replace(shop, "shop", "office", 1), 403},
		{"a token of a group applies nowhere else", tokenShop, "POST", "/api/v1/flows:apply", `{"flows":[` + shop + `,` + orders + `]}`, 403},
		{"health needs none", "", "GET", "/api/v1/health", "", 200},
		{"OpenAPI needs none", "", "GET", "/api/openapi.json", "", 200},
		{"the schema needs none", "", "GET", "/api/flow.schema.json", "", 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := s.do(t, test.token, test.method, test.path, test.body)
			if a.status != test.status {
				t.Fatalf("got %d %s, want %d", a.status, a.body, test.status)
			}
			if a.status == 401 || a.status == 403 {
				a.problem(t)
				if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="systole"`) {
					t.Errorf("WWW-Authenticate is %q", a.header.Get("WWW-Authenticate"))
				}
			}
		})
	}
	t.Cleanup(func() {
		if strings.Contains(s.log.String(), "0123456789abcdef") {
			t.Error("a token is in the log")
		}
	})
}

func TestStatusLeavesOutGroupsThatTheCredentialMayNotRead(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "PUT", "/api/v1/flows/a?group=shop", `{"exec":{"command":["a"]}}`)
	s.want(t, 201, "PUT", "/api/v1/flows/a?group=office", `{"exec":{"command":["a"]}}`)
	var status wire.StatusList
	s.do(t, tokenShop, "GET", "/api/v1/status", "").decode(t, &status)
	if len(status.Groups) != 1 || status.Groups[0].Group != "shop" {
		t.Errorf("got %+v", status)
	}
}

func TestStatusOfOneGroupIsForWhoMayReadIt(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "PUT", "/api/v1/flows/a?group=shop", `{"exec":{"command":["a"]}}`)
	s.want(t, 201, "PUT", "/api/v1/flows/a?group=office", `{"exec":{"command":["a"]}}`)
	for path, want := range map[string]string{
		"/api/v1/status?group=shop": "shop", "/api/v1/status?group=empty": "", "/api/v1/status": "office shop",
	} {
		var status wire.StatusList
		s.want(t, 200, "GET", path, "").decode(t, &status)
		var got []string
		for _, group := range status.Groups {
			got = append(got, group.Group)
		}
		if slices.Sort(got); strings.Join(got, " ") != want || status.Groups == nil {
			t.Errorf("%s has %q, want %q", path, got, want)
		}
	}
	if refused := s.do(t, tokenShop, "GET", "/api/v1/status?group=office", ""); refused.status != 403 {
		t.Errorf("the credential of another group got %d", refused.status)
	}
	s.want(t, 400, "GET", "/api/v1/status?group=A", "").problem(t)
}

func TestReloadedTokensReplaceTheOldOnes(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	const fresh = "fresh-0123456789abcdef0123456789abcdef"
	auth, err := trigger.NewAuthenticator([]trigger.Token{{Name: "fresh", Value: fresh, Scopes: []string{trigger.ScopeRead}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.api.Reload(auth); err != nil {
		t.Fatal(err)
	}
	if old, now := s.do(t, tokenAll, "GET", "/api/v1/flows", "").status, s.do(t, fresh, "GET", "/api/v1/flows", "").status; old != 401 || now != 200 {
		t.Errorf("the old token gives %d, the new one %d", old, now)
	}
	if err := s.api.Reload(nil); err == nil {
		t.Error("authentication was switched off")
	}
}

func TestNewRefusesToBeOpenUnlessTold(t *testing.T) {
	t.Parallel()
	if _, err := admin.New(admin.Config{}, nil, nil); err == nil || !strings.Contains(err.Error(), "AllowAnonymous") {
		t.Errorf("got %v", err)
	}
	if _, err := admin.New(admin.Config{Auth: authenticator(t), AllowAnonymous: true}, nil, nil); err == nil {
		t.Error("both were taken")
	}
}

func TestAnOpenAPIRefusesWhatForeignPagesSend(t *testing.T) {
	t.Parallel()
	s := serve(t, true)
	host := strings.TrimPrefix(s.URL, "http://")
	tests := []struct {
		name    string
		status  int
		headers []string
	}{
		{"curl", 200, nil},
		{"a page of its own", 200, []string{"Origin", s.URL}},
		{"a page of another site", 403, []string{"Origin", "http://evil.example"}},
		{"a page of another site, by its fetch header", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"a page whose name points here", 403, []string{"Origin", "http://evil.example", "Host", "evil.example"}},
		{"a form", 415, []string{"Content-Type", "text/plain"}},
		{"another name of this host", 200, []string{"Host", strings.Replace(host, "127.0.0.1", "console", 1)}},
	}
	s.do(t, "", "POST", "/api/v1/flows", orders)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if a := s.do(t, "", "POST", "/api/v1/flows", orders, test.headers...); a.status != test.status {
				t.Errorf("got %d %s, want %d", a.status, a.body, test.status)
			}
		})
	}
}

func TestBadRequestsAreAnsweredWithAProblem(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	tests := []struct {
		name, method, path string
		status             int
		errors             string
	}{
		{"an unknown path", "GET", "/api/v1/nothing", 404, "[]"},
		{"a path that is not clean", "GET", "/api/v1//flows", 404, "[]"},
		{"a path with a slash too many", "GET", "/api/v1/flows/", 404, "[]"},
		{"a wrong method", "PATCH", "/api/v1/flows/a", 405, "[]"},
		{"an unknown parameter", "GET", "/api/v1/flows?grup=a", 400, "[grup: found an unknown parameter, allowed is group, limit, after]"},
		{"a doubled parameter", "GET", "/api/v1/flows?group=a&group=b", 400, "[group: found 2 values, allowed is one]"},
		{"a bad group", "GET", "/api/v1/flows?group=A", 400, `[group: found "A", allowed is a group: 1 to 63 of`},
		{"an empty group", "GET", "/api/v1/flows?group=", 400, `[group: found "", allowed is a group`},
		{"a bad name", "GET", "/api/v1/flows/A%7Db", 400, `[name: found "A}b", allowed is a flow: 1 to 63 of`},
		{"no number", "GET", "/api/v1/runs?limit=x", 400, `[limit: found "x", allowed is a number of entries from 1 to 1000]`},
		{"a number too large", "GET", "/api/v1/runs?limit=1001", 400, `[limit: found "1001"`},
		{"a number too small", "GET", "/api/v1/beats?limit=0", 400, `[limit: found "0"`},
		{"an unknown status", "GET", "/api/v1/runs?status=done", 400, `[status: found "done", allowed is pending, in_progress, success, failed or cancelled]`},
		{"a cursor that is none", "GET", "/api/v1/runs?after=%21", 400, `[after: found`},
		{"a query that cannot be read", "GET", "/api/v1/flows?a=%zz", 400, `[query: found`},
		{"several at once", "GET", "/api/v1/runs?limit=x&group=A&foo=1", 400, `[group: found "A", allowed is a group: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit; default if left out limit: found "x"`},
		{"a parameter where there is none", "GET", "/api/v1/health?group=a", 400, "[group: found an unknown parameter, allowed is no parameters]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := s.do(t, tokenAll, test.method, test.path, "")
			problem := a.problem(t)
			if got := fmt.Sprint(problem.Errors); a.status != test.status || !strings.HasPrefix(got, test.errors) {
				t.Errorf("got %d %s, want %d %s", a.status, got, test.status, test.errors)
			}
			if allow := a.header.Get("Allow"); (allow != "") != (a.status == 405) {
				t.Errorf("Allow is %q", allow)
			}
		})
	}
}

func TestEveryAnswerSaysThatItIsNotToBeKeptOrGuessedAt(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	for _, path := range []string{"/api/v1/flows", "/api/v1/nothing", "/api/openapi.json", "/api/v1/health"} {
		h := s.do(t, tokenAll, "GET", path, "").header
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") == "" {
			t.Errorf("%s has the headers %v", path, h)
		}
	}
}

func TestOpenAPIDescribesEveryOperation(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	var spec struct {
		OpenAPI string `json:"openapi"`
		Info    struct{ Version string }
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			RequestBody struct {
				Content map[string]struct{ Schema map[string]any }
			} `json:"requestBody"`
			Responses map[string]struct{ Content map[string]any }
		}
		Components struct{ Schemas map[string]any }
	}
	a := s.do(t, "", "GET", "/api/openapi.json", "")
	a.decode(t, &spec)
	if !strings.HasPrefix(spec.OpenAPI, "3.1.") || spec.Info.Version != "1.2.3" {
		t.Errorf("got OpenAPI %s of version %s", spec.OpenAPI, spec.Info.Version)
	}
	want := "/api/v1/beats get|/api/v1/dead delete|/api/v1/dead get|/api/v1/dead/{id} delete|/api/v1/dead/{id}/retry post|" +
		"/api/v1/flows/{name}/pause post|/api/v1/flows/{name}/resume post|/api/v1/flows/{name}/slots get|/api/v1/runs/{id}/cancel post|/api/v1/runs/{id}/retry post|" +
		"/api/v1/flows get|/api/v1/flows post|/api/v1/flows/{name} delete|/api/v1/flows/{name} get|/api/v1/flows/{name} put|" +
		"/api/v1/flows/{name}/runs post|/api/v1/flows:apply post|/api/v1/flows:applied get|/api/v1/health get|/api/v1/runs get|/api/v1/runs/{id} get|/api/v1/runs/{id}/logs get|/api/v1/status get"
	operations := 0
	for path, methods := range spec.Paths {
		for method, op := range methods {
			operations++
			if !strings.Contains(want, path+" "+method) {
				t.Errorf("%s %s is not expected", method, path)
			}
			if _, ok := op.Responses["202"]; ok != strings.Contains("startRun retryRun retryDead", op.OperationID) {
				t.Errorf("%s documents the answers %v", op.OperationID, op.Responses)
			}
			if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok {
				t.Errorf("%s documents no problem: %v", op.OperationID, op.Responses)
			}
		}
	}
	if operations != strings.Count(want, "|")+1 {
		t.Errorf("got %d operations", operations)
	}
	if schema := spec.Paths["/api/v1/flows"]["post"].RequestBody.Content["application/json"].Schema["$ref"]; schema != "#/components/schemas/DataFlow" {
		t.Errorf("the body of a flow is %v", schema)
	}
	for _, ref := range regexp.MustCompile(`#/components/schemas/([A-Za-z]+)`).FindAllStringSubmatch(a.body, -1) {
		if spec.Components.Schemas[ref[1]] == nil {
			t.Errorf("the schema %s is missing", ref[1])
		}
	}
}

func TestTheSchemaOfFlowsIsServed(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	a := s.do(t, "", "GET", "/api/flow.schema.json", "")
	if !json.Valid([]byte(a.body)) || a.header.Get("Content-Type") != "application/schema+json" || !strings.Contains(a.body, "2020-12") {
		t.Errorf("got %s %.100s", a.header.Get("Content-Type"), a.body)
	}
}

func TestAnAPIWithoutRedisAnswers503AndRecovers(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, DialTimeout: patience})
	t.Cleanup(func() { _ = client.Close() })
	flows, err := store.New(client, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	api, err := admin.New(admin.Config{AllowAnonymous: true, Timeout: 10 * time.Second}, flows, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &plainServer{httptest.NewServer(api.Handler())}
	t.Cleanup(s.Close)
	s.answers(t, "/api/v1/health")
	server.Kill()
	for _, path := range []string{"/api/v1/health", "/api/v1/flows", "/api/v1/status"} {
		if status, header := s.get(t, path); status != 503 || header.Get("Retry-After") == "" {
			t.Errorf("%s is %d with Retry-After %q without Redis", path, status, header.Get("Retry-After"))
		}
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	s.answers(t, "/api/v1/flows")
}

type plainServer struct{ *httptest.Server }

// answers asks until it is answered: on a loaded machine Redis may take longer than a request is given.
func (s *plainServer) answers(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		status, _ := s.get(t, path)
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %d with Redis", path, status)
		}
	}
}

func (s *plainServer) get(t *testing.T, path string) (int, http.Header) {
	t.Helper()
	response, err := http.Get(s.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header
}

// failing is a store that fails in ways a real one does not on demand.
type failing struct {
	admin.Store
	err error
}

func (f failing) Flow(context.Context, string, string) (store.FlowView, error) {
	if f.err == nil {
		panic("boom")
	}
	return store.FlowView{}, f.err
}

func TestAnErrorOfUnknownKindIsA500ThatTellsNothingOfItsCause(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"an error": errors.New("secret cause"), "a panic": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, newErr := admin.New(admin.Config{AllowAnonymous: true}, failing{err: err}, nil)
			if newErr != nil {
				t.Fatal(newErr)
			}
			recorder := httptest.NewRecorder()
			api.Handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/api/v1/flows/a", nil))
			if recorder.Code != 500 || strings.Contains(recorder.Body.String(), "secret") || recorder.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s", recorder.Code, recorder.Body)
			}
		})
	}
}
