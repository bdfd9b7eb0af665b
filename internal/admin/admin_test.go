package admin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/admin"
	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// patience is how long something may take on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

// Tokens of the tests, by what they are for.
const (
	tokenAll   = "all-0123456789abcdef0123456789abcdef"
	tokenRead  = "read-0123456789abcdef0123456789abcdef"
	tokenShop  = "shop-0123456789abcdef0123456789abcdef"
	tokenRun   = "run-0123456789abcdef0123456789abcdef"
	tokenBeats = "beat-0123456789abcdef0123456789abcdef"
)

// server is the API over real Redis, behind a real socket.
type server struct {
	*httptest.Server
	api   *admin.API
	store *store.Store
	log   *syncBuffer
	woken *wakes
}

func authenticator(t *testing.T) *trigger.Authenticator {
	t.Helper()
	auth, err := trigger.NewAuthenticator([]trigger.Token{
		{Name: "all", Value: tokenAll, Scopes: []string{trigger.ScopeRead, trigger.ScopeWrite}},
		{Name: "read", Value: tokenRead, Scopes: []string{trigger.ScopeRead}},
		{Name: "shop", Value: tokenShop, Scopes: []string{trigger.ScopeRead, trigger.ScopeWrite}, Groups: []string{"shop"}},
		{Name: "run", Value: tokenRun, Scopes: []string{trigger.ScopeRun}},
		{Name: "beats", Value: tokenBeats},
	})
	if err != nil {
		t.Fatal(err)
	}
	return auth
}

// serve starts an API with tokens, or an open one.
func serve(t *testing.T, open bool) *server {
	t.Helper()
	client, prefix := testenv.Redis(t)
	flows, err := store.New(client, store.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{store: flows, log: &syncBuffer{}, woken: &wakes{}}
	cfg := admin.Config{Version: "1.2.3", AllowAnonymous: open, Logger: slog.New(slog.NewTextHandler(s.log, nil)), CheckFlow: unfit}
	if !open {
		cfg.Auth = authenticator(t)
	}
	if s.api, err = admin.New(cfg, flows, s.woken); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(s.api.Handler())
	t.Cleanup(s.Close)
	return s
}

// unfit finds fault with one name.
func unfit(flow store.DataFlow) error {
	if flow.Name != "unfit" {
		return nil
	}
	return store.InvalidError{{Field: "exec.env.TOKEN", Found: "env:TOKEN, which is closed", Allowed: "one that is open"}}
}

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   string
}

// problem reads a refusal, and fails the test if it is none.
func (a answer) problem(t *testing.T) wire.Problem {
	t.Helper()
	var problem wire.Problem
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("got %d %s %q, want a problem (%v)", a.status, a.header.Get("Content-Type"), a.body, err)
	}
	if problem.Status != a.status || problem.Title != http.StatusText(a.status) || problem.Type != "about:blank" {
		t.Fatalf("got the problem %+v in an answer %d", problem, a.status)
	}
	return problem
}

func (a answer) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("decode %d %q: %v", a.status, a.body, err)
	}
}

// do sends one request with a token; headers are name, value, name, value.
func (s *server) do(t *testing.T, token, method, path, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// want does a request and fails the test unless it is answered with the status.
func (s *server) want(t *testing.T, status int, method, path, body string) answer {
	t.Helper()
	a := s.do(t, tokenAll, method, path, body)
	if a.status != status {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, a.status, a.body, status)
	}
	return a
}

// syncBuffer takes log lines from several goroutines.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// wakes notes the groups that were woken, and fails for one of them.
type wakes struct {
	mu     sync.Mutex
	groups []string
}

func (w *wakes) Wake(group string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups = append(w.groups, group)
	if group == "deaf" {
		return errors.New("nobody listens")
	}
	return nil
}

func (w *wakes) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.groups, " ")
}
