package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/admin"
	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

const token = "all-0123456789abcdef0123456789abcdef"

// connect gives a client of a real API over real Redis. The API is below a path, as behind a proxy.
func connect(t *testing.T) (context.Context, *client.Client, string) {
	t.Helper()
	redis, prefix := testenv.Redis(t)
	flows, err := store.New(redis, store.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := trigger.NewAuthenticator([]trigger.Token{{Name: "all", Value: token, Scopes: []string{trigger.ScopeRead, trigger.ScopeWrite}}})
	if err != nil {
		t.Fatal(err)
	}
	api, err := admin.New(admin.Config{Auth: auth, Version: "1.2.3"}, flows, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/console", api.Handler()))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx, dial(t, server.URL+"/console/", token), server.URL + "/console"
}

func dial(t *testing.T, server, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: server, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func flow(name string) store.DataFlow {
	return store.DataFlow{Name: name, Exec: &store.ExecSpec{Command: []string{"a"}}}.WithDefaults()
}

func TestTheClientDoesWhatTheCommandsNeed(t *testing.T) {
	t.Parallel()
	ctx, c, _ := connect(t)
	if health, err := c.Health(ctx); err != nil || health.Version != "1.2.3" {
		t.Fatalf("health is %+v, %v", health, err)
	}
	changes, err := c.Apply(ctx, client.Apply{}, []store.DataFlow{flow("a"), flow("b")})
	if err != nil || fmt.Sprint(changes) != "[{default a created []} {default b created []}]" {
		t.Fatalf("apply gives %v, %v", changes, err)
	}
	if view, err := c.Flow(ctx, "", "a"); err != nil || view.Exec.Command[0] != "a" {
		t.Errorf("flow is %+v, %v", view, err)
	}
	id, err := c.StartRun(ctx, "", "a", wire.RunRequest{Params: json.RawMessage(`{"x":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if run, err := c.Run(ctx, "default", id); err != nil || run.Status != store.StatusPending {
		t.Errorf("run is %+v, %v", run, err)
	}
	if log, err := c.RunLog(ctx, "default", id); err != nil || len(log) != 0 {
		t.Errorf("log is %q, %v", log, err)
	}
	if status, err := c.Status(ctx, ""); err != nil || len(status) != 1 || status[0].Flows != 2 {
		t.Errorf("status is %+v, %v", status, err)
	}
	for beat, err := range c.Beats(ctx, "", 0) {
		t.Errorf("beats are %+v, %v", beat, err)
	}
	if err := c.DeleteFlow(ctx, "", "b"); err != nil {
		t.Error(err)
	}
	var refusal *client.Error
	if _, err := c.Flow(ctx, "", "b"); !errors.As(err, &refusal) || !refusal.NotFound() {
		t.Errorf("a deleted flow gives %v", err)
	}
}

func TestListingsGoThroughAllPages(t *testing.T) {
	t.Parallel()
	ctx, c, _ := connect(t)
	var flows []store.DataFlow
	for i := range 1500 {
		flows = append(flows, flow(fmt.Sprintf("f%04d", i)))
	}
	changes, err := c.Apply(ctx, client.Apply{}, flows)
	if err != nil || len(changes) != len(flows) {
		t.Fatalf("apply gives %d changes, %v", len(changes), err)
	}
	var names []string
	for view, err := range c.Flows(ctx, "default", 0) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, view.Name)
	}
	if len(names) != len(flows) || !slices.IsSorted(names) {
		t.Errorf("got %d flows, sorted: %t", len(names), slices.IsSorted(names))
	}
	for i := range 5 {
		if _, err := c.StartRun(ctx, "", fmt.Sprintf("f%04d", i), wire.RunRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	runs := 0
	for _, err := range c.Runs(ctx, "", store.RunFilter{Status: store.StatusPending, Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		runs++
	}
	if runs != 5 {
		t.Errorf("got %d runs, want 5", runs)
	}
	for range c.Runs(ctx, "", store.RunFilter{Limit: 2}) {
		break // asks no further
	}
}

func TestARefusalNamesEveryField(t *testing.T) {
	t.Parallel()
	ctx, c, server := connect(t)
	_, err := c.Apply(ctx, client.Apply{}, []store.DataFlow{flow("B"), {Name: "c"}})
	want := `POST /api/v1/flows:apply: 422 Unprocessable Entity: the flows cannot be accepted, and none was written; errors lists every fault
  flows[0].name: found "B", allowed is 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit
  flows[1]: found "no kind", allowed is exactly one of function, exec, http, wasm`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = dial(t, server, "").Status(ctx, "")
	if err == nil || !strings.HasPrefix(err.Error(), "GET /api/v1/status: 401 Unauthorized: a credential is needed") {
		t.Errorf("got %v", err)
	}
	for _, err := range dial(t, server, "wrong").Flows(ctx, "", 0) {
		if err == nil || !strings.Contains(err.Error(), "401 Unauthorized") || strings.Contains(err.Error(), "wrong") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAnAnswerOfSomethingElseIsShownAsItIs(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/health" {
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
			return
		}
		http.Error(w, "upstream is away\x1b[31m", http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	c := dial(t, proxy.URL, token)
	if _, err := c.Status(t.Context(), ""); err == nil || err.Error() != `GET /api/v1/status: 502 Bad Gateway: "upstream is away\x1b[31m\n"` {
		t.Errorf("got %v", err)
	}
	if _, err := c.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "302 Found") {
		t.Errorf("a redirect gives %v", err)
	}
}

func TestAServerThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := dial(t, server.URL, token).Status(t.Context(), "")
	if err == nil || !strings.HasPrefix(err.Error(), "ask "+server.URL+": ") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestNamesThatWouldLeadElsewhereAreNotSent(t *testing.T) {
	t.Parallel()
	c := dial(t, "http://127.0.0.1:1", "")
	for _, name := range []string{"", "..", "a/b", "A", "a?b"} {
		var field store.FieldError
		if _, err := c.Flow(t.Context(), "", name); !errors.As(err, &field) || field.Field != "flow" {
			t.Errorf("flow %q gives %v", name, err)
		}
		if _, err := c.Run(t.Context(), "", name); !errors.As(err, &field) || field.Field != "run" {
			t.Errorf("run %q gives %v", name, err)
		}
	}
}

func TestNewRefusesWhatIsNoServerOrToken(t *testing.T) {
	t.Parallel()
	for _, cfg := range []client.Config{
		{Server: "127.0.0.1:8080"},
		{Server: "ftp://x"},
		{Server: "http://"},
		{Server: "http://user:secret@x"},
		{Server: "http://x?a=b"},
		{Token: "with space"},
		{Token: "line\n"},
	} {
		if _, err := client.New(cfg); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "space in") {
			t.Errorf("%+v gives %v", cfg, err)
		}
	}
}
