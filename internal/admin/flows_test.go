package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
)

const orders = `{"name":"orders","every":"5m","exec":{"command":["./sync.sh"]}}`

func TestFlowsAreCreatedChangedReadAndDeleted(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	put := func(status int, body string, want store.Change) {
		t.Helper()
		var change store.FlowChange
		s.want(t, status, "PUT", "/api/v1/flows/orders", body).decode(t, &change)
		if change.Group != "default" || change.Name != "orders" || change.Result != want || (want == store.FlowChanged) != (len(change.Changes) > 0) {
			t.Errorf("got %+v, want %s", change, want)
		}
	}
	put(201, orders, store.FlowCreated)
	put(200, orders, store.FlowUnchanged)
	put(200, `{"every":"5m","timeout":"5m","exec":{"command":["./sync.sh"]}}`, store.FlowUnchanged) // says the same
	put(200, `{"every":"10m","exec":{"command":["./sync.sh"]}}`, store.FlowChanged)

	var flow store.FlowView
	s.want(t, 200, "GET", "/api/v1/flows/orders", "").decode(t, &flow)
	if flow.Every.String() != "10m" || flow.NextSlot == nil || !flow.Due {
		t.Errorf("got %+v, want a flow that is due every 10m", flow)
	}
	if a := s.want(t, 204, "DELETE", "/api/v1/flows/orders", ""); a.body != "" {
		t.Errorf("got the body %q", a.body)
	}
	s.want(t, 404, "GET", "/api/v1/flows/orders", "").problem(t)
	s.want(t, 404, "DELETE", "/api/v1/flows/orders", "").problem(t)
	for _, want := range []string{"flow created", "flow changed", "flow deleted", "principal=all"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, s.log)
		}
	}
}

func TestPutFlowTakesItsGroupFromTheAddressOrTheBody(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	const body = `{"group":"shop","every":"5m","exec":{"command":["a"]}}`
	s.want(t, 201, "PUT", "/api/v1/flows/one", body)
	s.want(t, 201, "PUT", "/api/v1/flows/two?group=shop", body)
	s.want(t, 201, "PUT", "/api/v1/flows/three?group=shop", strings.Replace(body, `"group":"shop",`, "", 1))
	problem := s.want(t, 422, "PUT", "/api/v1/flows/four?group=office", strings.Replace(body, `{`, `{"name":"five",`, 1)).problem(t)
	if want := `[name: found "five", allowed is "four", as in the address, or leaving it out group: found "shop", allowed is "office", as in the address, or leaving it out]`; fmt.Sprint(problem.Errors) != want {
		t.Errorf("got %v, want %s", problem.Errors, want)
	}
	var page wire.FlowPage
	s.want(t, 200, "GET", "/api/v1/flows?group=shop", "").decode(t, &page)
	if len(page.Flows) != 3 {
		t.Errorf("got %d flows in the group, want 3", len(page.Flows))
	}
}

func TestFlowsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	for i := range 5 {
		s.want(t, 201, "POST", "/api/v1/flows", fmt.Sprintf(`{"name":"f%d","exec":{"command":["a"]}}`, i))
	}
	var names []string
	for after, more := "", true; more; more = after != "" {
		var page wire.FlowPage
		s.want(t, 200, "GET", "/api/v1/flows?limit=2&after="+after, "").decode(t, &page)
		for _, flow := range page.Flows {
			names = append(names, flow.Name)
		}
		if after = page.Next; len(names) > 5 {
			break
		}
		if after == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "f0 f1 f2 f3 f4" {
		t.Errorf("got %q", got)
	}
	if a := s.want(t, 200, "GET", "/api/v1/flows?group=empty", ""); strings.TrimSpace(a.body) != `{"flows":[]}` {
		t.Errorf("an empty group lists as %s", a.body)
	}
}

func TestABadFlowIsRefusedWithEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	tests := map[string]struct {
		status       int
		body, errors string
	}{
		"no JSON":                      {400, `{"name":`, `[: found unexpected end of JSON input, allowed is one JSON value in UTF-8]`},
		"nothing":                      {400, ` `, `[: found nothing, allowed is one JSON value in UTF-8]`},
		"an unknown and a doubled key": {400, `{"nme":"a","every":"5m","every":"6m"}`, `nme: found the key "nme"`},
		"a period of nothing":          {400, `{"name":"a","every":"0s","exec":{"command":["a"]}}`, `[every: found "0s", allowed is a duration above 0 in quotes`},
		"a number for a duration":      {400, `{"name":"a","every":5,"retry":{"max":"x"},"exec":{"command":["a"]}}`, `[every: found 5, allowed is a duration above 0 in quotes such as "90s", "5m" or "1h30m" retry.max: found "x"`},
		"a definition that is invalid": {422, `{"name":"A","timeout":"-1s"}`, `[name: found "A", allowed is 1 to 63`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problem := s.want(t, test.status, "POST", "/api/v1/flows", test.body).problem(t)
			if got := fmt.Sprint(problem.Errors); !strings.Contains(got, test.errors) {
				t.Errorf("got %s, want %s", got, test.errors)
			}
		})
	}
	problem := s.want(t, 422, "POST", "/api/v1/flows", `{"name":"A","timeout":"-1s"}`).problem(t)
	if len(problem.Errors) != 3 { // name, timeout and kind
		t.Errorf("got %v, want all three errors at once", problem.Errors)
	}
}

func TestApplyWritesABatchAndSaysWhatBecameOfEach(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	batch := `{"flows":[` + orders + `,{"name":"new","group":"shop","exec":{"command":["a"]}}]}`
	var applied wire.Applied
	s.want(t, 200, "POST", "/api/v1/flows:apply", batch).decode(t, &applied)
	if got := fmt.Sprint(applied.Results); got != "[{default orders unchanged []} {shop new created []}]" {
		t.Errorf("got %s", got)
	}
}

func TestApplyWritesNothingIfAnythingIsWrong(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	good := `{"name":"good","exec":{"command":["a"]}}`
	tests := map[string]struct {
		status       int
		body, errors string
	}{
		"an invalid flow":   {422, `{"flows":[` + good + `,{"name":"B","exec":{"command":["a"]}},{"name":"c"}]}`, `[flows[1].name: found "B", allowed is 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit flows[2]: found "no kind", allowed is exactly one of function, exec, http, wasm]`},
		"an unreadable one": {400, `{"flows":[` + good + `,{"name":"c","every":5}]}`, `[flows[1].every: found 5, allowed`},
		"a doubled name":    {422, `{"flows":[` + good + `,` + good + `]}`, `[flows[1].name: found "good", as in flows[0], allowed is each name once in a group]`},
		"no flows":          {400, `{"flows":[]}`, `[flows: found 0 flows, allowed is 1 to 1000]`},
		"too many":          {400, `{"flows":[` + strings.TrimSuffix(strings.Repeat(good+",", 1001), ",") + `]}`, `[flows: found 1001 flows, allowed is 1 to 1000]`},
		"an unknown key":    {400, `{"flow":[]}`, `[flow: found the key "flow"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problem := s.want(t, test.status, "POST", "/api/v1/flows:apply", test.body).problem(t)
			if got := fmt.Sprint(problem.Errors); !strings.HasPrefix(got, test.errors) {
				t.Errorf("got %s, want %s", got, test.errors)
			}
			s.want(t, 404, "GET", "/api/v1/flows/good", "")
		})
	}
}

func TestApplyTakesAThousandFlows(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	var flows []string
	for i := range wire.MaxApply {
		flows = append(flows, fmt.Sprintf(`{"name":"f%d","description":%q,"exec":{"command":["a"]}}`, i, strings.Repeat("x", 2000)))
	}
	var applied wire.Applied
	s.want(t, 200, "POST", "/api/v1/flows:apply", `{"flows":[`+strings.Join(flows, ",")+`]}`).decode(t, &applied)
	for i, change := range applied.Results {
		if change.Name != fmt.Sprintf("f%d", i) || change.Result != store.FlowCreated {
			t.Fatalf("flow %d is %+v", i, change)
		}
	}
	if len(applied.Results) != wire.MaxApply {
		t.Errorf("got %d results", len(applied.Results))
	}
}

func TestABodyThatIsTooLargeIsRefusedWith413(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	pad := func(size int) string {
		const frame = `{"name":"a","exec":{"command":["a"]},"description":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	s.want(t, http.StatusCreated, "POST", "/api/v1/flows", pad(wire.MaxBody))
	s.want(t, http.StatusRequestEntityTooLarge, "POST", "/api/v1/flows", pad(wire.MaxBody+1)).problem(t)
}
