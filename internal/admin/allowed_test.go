package admin_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/admin"
	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

func TestFlowThatAsksForMoreThanTheOperatorAllowsIsRefusedByFieldAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	client, prefix := testenv.Redis(t)
	flows, err := store.New(client, store.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{store: flows, log: &syncBuffer{}, woken: &wakes{}}
	allowed := func(flow store.DataFlow) error {
		if flow.Exec != nil && flow.Exec.Sandbox == store.SandboxNone {
			return store.InvalidError{{Field: "exec.sandbox", Found: "none", Allowed: "strict, as the operator has set"}}
		}
		return nil
	}
	if s.api, err = admin.New(admin.Config{AllowAnonymous: true, CheckFlow: allowed}, flows, s.woken); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(s.api.Handler())
	t.Cleanup(s.Close)
	const open = `{"name":"a","exec":{"command":["x"],"sandbox":"none"}}`
	for path, body := range map[string]string{"/api/v1/flows/a": open, "/api/v1/flows:apply": `{"flows":[{"name":"b","exec":{"command":["x"]}},` + open + `]}`} {
		method := "PUT"
		if strings.HasSuffix(path, "apply") {
			method = "POST"
		}
		problem := s.do(t, "", method, path, body).problem(t)
		if problem.Status != 422 || len(problem.Errors) != 1 || !strings.HasSuffix(problem.Errors[0].Field, "exec.sandbox") {
			t.Errorf("%s: got %+v", path, problem)
		}
	}
	if all, _, err := flows.Flows(t.Context(), "default", 10, ""); err != nil || len(all) > 0 {
		t.Errorf("written: %v, %v", all, err)
	}
	s.want(t, 200, "POST", "/api/v1/flows:apply", `{"flows":[{"name":"b","exec":{"command":["x"],"sandbox":"strict"}}]}`)
}
