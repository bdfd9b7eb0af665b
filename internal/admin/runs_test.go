package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
)

func TestARunThatIsAskedForCanBeReadAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	var started wire.RunStarted
	s.want(t, 202, "POST", "/api/v1/flows/orders/runs", `{"params":{"full":true}}`).decode(t, &started)

	var run store.Run
	s.want(t, 200, "GET", "/api/v1/runs/"+started.RunID, "").decode(t, &run)
	if run.ID != started.RunID || run.Flow != "orders" || run.Status != store.StatusPending {
		t.Errorf("got %+v", run)
	}
	var page wire.RunPage
	s.want(t, 200, "GET", "/api/v1/runs?flow=orders&status=pending", "").decode(t, &page)
	if len(page.Runs) != 1 || page.Runs[0].ID != started.RunID {
		t.Errorf("got %+v", page)
	}
	s.want(t, 200, "GET", "/api/v1/runs?status=failed", "").decode(t, &page)
	if len(page.Runs) != 0 {
		t.Errorf("the filter gives %+v", page.Runs)
	}
	a := s.want(t, 200, "GET", "/api/v1/runs/"+started.RunID+"/logs", "")
	if a.body != "" || a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("the log is %q of type %s", a.body, a.header.Get("Content-Type"))
	}
	if s.woken.String() != "default" {
		t.Errorf("woken are %q, want default", s.woken)
	}
}

func TestARunIsAskedForWithoutABody(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	s.want(t, 202, "POST", "/api/v1/flows/orders/runs", "")
}

func TestARunThatIsAskedForTwiceWithOneIDIsOneRun(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	for range 2 {
		var started wire.RunStarted
		s.want(t, 202, "POST", "/api/v1/flows/orders/runs", `{"id":"orders~1763848800000000"}`).decode(t, &started)
		if started.RunID != "orders~1763848800000000" {
			t.Errorf("got %q", started.RunID)
		}
	}
	var page wire.RunPage
	s.want(t, 200, "GET", "/api/v1/runs?flow=orders", "").decode(t, &page)
	if len(page.Runs) != 1 {
		t.Errorf("got %d runs", len(page.Runs))
	}
}

func TestABadRunIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	s.want(t, 404, "POST", "/api/v1/flows/unknown/runs", "").problem(t)
	s.want(t, 404, "GET", "/api/v1/runs/orders~1763848800000000", "").problem(t)
	s.want(t, 404, "GET", "/api/v1/runs/orders~1763848800000000/logs", "").problem(t)
	for body, field := range map[string]string{`{"param":{}}`: "param", `{"params":[1]}`: "params", `{"id":"orders"}`: "id"} {
		if problem := s.want(t, 400, "POST", "/api/v1/flows/orders/runs", body).problem(t); problem.Errors[0].Field != field {
			t.Errorf("%s gives %+v", body, problem.Errors)
		}
	}
	if s.woken.String() != "" {
		t.Errorf("woken are %q for runs that were refused", s.woken)
	}
}

func TestARunIsAcceptedAlthoughNoWorkerCouldBeTold(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "PUT", "/api/v1/flows/orders?group=deaf", orders)
	s.want(t, 202, "POST", "/api/v1/flows/orders/runs?group=deaf", "")
	if !strings.Contains(s.log.String(), "nobody listens") {
		t.Errorf("the log does not say so:\n%s", s.log)
	}
}

func TestBeatsAndStatusAreListed(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range 3 {
		arrival := store.Arrival{ID: fmt.Sprintf("b%d", i), Group: "default", Source: "cron", Key: fmt.Sprintf("%d-1", i)}
		if _, err := s.store.AcceptBeat(ctx, arrival); err != nil {
			t.Fatal(err)
		}
	}
	var page wire.BeatPage
	s.want(t, 200, "GET", "/api/v1/beats?limit=2", "").decode(t, &page)
	if len(page.Beats) != 2 || page.Next == "" || page.Beats[0].Source != "cron" {
		t.Fatalf("got %+v", page)
	}
	s.want(t, 200, "GET", "/api/v1/beats?limit=2&after="+page.Next, "").decode(t, &page)
	if len(page.Beats) != 1 {
		t.Errorf("the second page has %d beats, want 1", len(page.Beats))
	}
	var status wire.StatusList
	s.want(t, 200, "GET", "/api/v1/status", "").decode(t, &status)
	if len(status.Groups) != 1 || status.Groups[0].Flows != 1 || status.Groups[0].Due != 1 || status.Groups[0].LastBeatID == "" {
		t.Errorf("got %+v", status)
	}
}
