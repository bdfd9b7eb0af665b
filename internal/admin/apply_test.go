package admin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

// apply sends a batch and gives what became of it, one flow to a line.
func (s *server) apply(t *testing.T, body string) string {
	t.Helper()
	var applied wire.Applied
	s.want(t, 200, "POST", "/api/v1/flows:apply", body).decode(t, &applied)
	var said strings.Builder
	for _, change := range applied.Results {
		fmt.Fprintf(&said, "%s %s", change.Name, change.Result)
		for _, field := range change.Changes {
			fmt.Fprintf(&said, " %s:%s>%s", field.Field, string(field.From), string(field.To))
		}
		said.WriteString("\n")
	}
	return said.String()
}

func TestApplySaysWhichFieldsChangeAndShowsNoValueOfEnvOrHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.apply(t, `{"source":"flows","flows":[
		{"name":"a","every":"5m","exec":{"command":["x"],"env":{"KEY":"old-secret","SAME":"s"}}},
		{"name":"b","http":{"url":"http://x.example","headers":{"Authorization":"old-secret"}}}]}`)
	const change = `"flows":[
		{"name":"a","every":"10m","exec":{"command":["x","y"],"env":{"KEY":"new-secret","SAME":"s","MORE":"new-secret"}}},
		{"name":"b","http":{"url":"http://x.example","headers":{"Authorization":"new-secret"}}}]`
	const want = `a changed every:"5m">"10m" exec.command:["x"]>["x","y"] exec.env.KEY:"(changed)">"(changed)" exec.env.MORE:>"(changed)"
b changed http.headers.Authorization:"(changed)">"(changed)"
`
	for _, body := range []string{`{"source":"flows","dry_run":true,` + change + `}`, `{"source":"flows",` + change + `}`} {
		if got := s.apply(t, body); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if got := s.apply(t, `{"source":"other",`+change+`}`); got != "a changed source:\"flows\">\"other\"\nb changed source:\"flows\">\"other\"\n" {
		t.Errorf("moved to another source:\n%s", got)
	}
	if got := s.apply(t, `{`+change+`}`); got != "a unchanged\nb unchanged\n" {
		t.Errorf("from nowhere:\n%s", got)
	}
	var view store.FlowView
	s.want(t, 200, "GET", "/api/v1/flows/a", "").decode(t, &view)
	if view.Source != "other" {
		t.Errorf("source is %q", view.Source)
	}
	if strings.Contains(s.log.String(), "secret") {
		t.Error("a secret is in the log")
	}
}

func TestADryRunWritesNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	if got := s.apply(t, `{"source":"flows","dry_run":true,"flows":[`+orders+`]}`); got != "orders created\n" {
		t.Error(got)
	}
	s.want(t, 404, "GET", "/api/v1/flows/orders", "")
	if groups, err := s.store.Groups(t.Context()); err != nil || len(groups) != 0 {
		t.Errorf("groups are %v, %v", groups, err)
	}
	if strings.Contains(s.log.String(), "flow created") {
		t.Error("the log says that it was")
	}
	if a := s.do(t, tokenRead, "POST", "/api/v1/flows:apply", `{"dry_run":true,"flows":[`+orders+`]}`); a.status != 403 {
		t.Errorf("a token for reading gets %d", a.status)
	}
}

func TestWhatWasAppliedFromASourceIsListedAndDeletedByIt(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.apply(t, `{"source":"flows","flows":[`+orders+`,{"name":"a","group":"shop","exec":{"command":["a"]}}]}`)
	s.apply(t, `{"source":"others","flows":[{"name":"b","group":"shop","exec":{"command":["a"]}}]}`)
	listed := func(token, source string) string {
		t.Helper()
		return strings.TrimSpace(s.do(t, token, "GET", "/api/v1/flows:applied?limit=1000&source="+source, "").body)
	}
	if got := listed(tokenAll, "flows"); !strings.Contains(got, `{"group":"default","name":"orders"}`) || !strings.Contains(got, `{"group":"shop","name":"a"}`) || strings.Contains(got, `"b"`) {
		t.Errorf("listed are %s", got)
	}
	if got := listed(tokenShop, "flows"); strings.Contains(got, "orders") || !strings.Contains(got, `"a"`) {
		t.Errorf("a token of one group is told %s", got)
	}
	if got := listed(tokenBeats, "flows"); strings.Contains(got, "orders") || strings.Contains(got, `"a"`) {
		t.Errorf("a token for heartbeats is told %s", got)
	}
	s.want(t, 404, "DELETE", "/api/v1/flows/orders?source=others", "").problem(t)
	s.want(t, 404, "DELETE", "/api/v1/flows/b?group=shop&source=flows", "").problem(t)
	s.want(t, 204, "DELETE", "/api/v1/flows/a?group=shop&source=flows", "")
	s.want(t, 200, "GET", "/api/v1/flows/orders", "")
	s.want(t, 200, "GET", "/api/v1/flows/b?group=shop", "")
	s.want(t, 422, "GET", "/api/v1/flows:applied", "").problem(t)
	s.want(t, 400, "GET", "/api/v1/flows:applied?source=x&after=nonsense", "").problem(t)
	problem := s.want(t, 422, "POST", "/api/v1/flows:apply", `{"source":"`+strings.Repeat("s", 201)+`","flows":[`+orders+`]}`).problem(t)
	if len(problem.Errors) != 1 || problem.Errors[0].Field != "source" {
		t.Errorf("got %+v", problem)
	}
}

// R3: thousands of flows. The time is only told, since it is the machine's.
func TestTenThousandFlowsAreAppliedAndAppliedAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, true)
	c, err := client.New(client.Config{Server: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	const count = 10_000
	flows := make([]store.DataFlow, count)
	for n := range flows {
		flows[n] = store.DataFlow{
			Name: fmt.Sprintf("flow-%05d", n), Every: store.Duration(time.Hour), Description: "one of many",
			Exec: &store.ExecSpec{Command: []string{"./sync.sh", "--part", fmt.Sprint(n)}, Env: map[string]string{"PART": fmt.Sprint(n)}},
		}.WithDefaults()
	}
	apply := func(want output.Summary) {
		t.Helper()
		began, last, calls := time.Now(), 0, 0
		changes, err := c.Apply(t.Context(), client.Apply{Source: "flows", Progress: func(done int) { last, calls = done, calls+1 }}, flows)
		t.Logf("applied %d flows in %s", count, time.Since(began).Round(time.Millisecond))
		if err != nil || len(changes) != count || output.Summarize(changes) != want {
			t.Fatalf("got %+v, %v; want %+v", output.Summarize(changes), err, want)
		}
		if last != count || calls < count/wire.MaxApply {
			t.Errorf("told of %d flows in %d calls", last, calls)
		}
	}
	apply(output.Summary{Created: count})
	ran := runOnce(t, s, "flow-00000")
	apply(output.Summary{Unchanged: count})
	after, err := s.store.Flow(t.Context(), store.DefaultGroup, "flow-00000")
	if err != nil || !after.NextSlot.Equal(*ran.NextSlot) || after.LastRunID != ran.LastRunID || after.LastRunID == "" {
		t.Errorf("before %+v, after %+v, %v", ran, after, err)
	}
	flows[7].Every = store.Duration(2 * time.Hour)
	apply(output.Summary{Changed: 1, Unchanged: count - 1})
}

// runOnce runs one flow's due slot and gives how it stands then.
func runOnce(t *testing.T, s *server, name string) store.FlowView {
	t.Helper()
	p := s.store.Partitions(store.DefaultGroup)[0]
	if _, err := s.store.AcceptBeat(t.Context(), store.Arrival{Key: "1-1", ID: "b", Group: store.DefaultGroup, Worker: "w"}); err != nil {
		t.Fatal(err)
	}
	claimed, err := s.store.Claimer(p, "w", time.Minute).Claim(t.Context(), 1)
	if err != nil || len(claimed.Claims) != 1 || claimed.Claims[0].Flow.Name != name {
		t.Fatal(claimed, err)
	}
	done := []store.Completion{{Claim: claimed.Claims[0], Outcome: store.Outcome{Status: store.StatusSuccess}}}
	if written, err := s.store.Complete(t.Context(), p, done); err != nil || written.Answers[0].Err != nil {
		t.Fatal(written, err)
	}
	view, err := s.store.Flow(t.Context(), store.DefaultGroup, name)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func TestFieldChangesAreDocumentedAsAnyJSON(t *testing.T) {
	t.Parallel()
	s := serve(t, true)
	var spec struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]map[string]any `json:"properties"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal([]byte(s.do(t, "", "GET", "/api/openapi.json", "").body), &spec); err != nil {
		t.Fatal(err)
	}
	from, found := spec.Components.Schemas["FieldChange"].Properties["from"]
	if _, typed := from["type"]; !found || typed {
		t.Errorf("from is %v", from)
	}
}

func TestAFlowThatTheWorkersCouldNotRunIsRefusedAndNothingWritten(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	const flow = `{"name":"unfit","exec":{"command":["x"]}}`
	for path, field := range map[string]string{"POST /api/v1/flows:apply": "flows[1].exec.env.TOKEN", "PUT /api/v1/flows/unfit": "exec.env.TOKEN"} {
		method, path, _ := strings.Cut(path, " ")
		body := flow
		if method == "POST" {
			body = `{"flows":[{"name":"fit","exec":{"command":["x"]}},` + flow + `]}`
		}
		problem := s.want(t, 422, method, path, body).problem(t)
		if len(problem.Errors) != 1 || problem.Errors[0].Field != field || problem.Errors[0].Found != "env:TOKEN, which is closed" {
			t.Errorf("%s: got %+v", path, problem)
		}
		if got := s.do(t, tokenShop, method, path, body); got.status != 403 || strings.Contains(got.body, "closed") {
			t.Errorf("%s by one who may not write: %d %s", path, got.status, got.body)
		}
	}
	s.want(t, 404, "GET", "/api/v1/flows/fit", "")
}
