package admin_test

import (
	"fmt"
	"strings"
	"testing"
)

// R2.5: what each token may do to what runs; whether there is such a run or flow comes after that.
func TestWhoMayStopRepeatAndPause(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "PUT", "/api/v1/flows/orders", orders)
	s.want(t, 201, "PUT", "/api/v1/flows/orders?group=shop", orders)
	const run = "orders~1763848800000000"
	const (
		read  = "read"
		write = "write"
		start = "start" // which write and run both may
	)
	routes := []struct{ method, path, needs string }{
		{"POST", "/api/v1/flows/orders/pause", write},
		{"POST", "/api/v1/flows/orders/resume", write},
		{"GET", "/api/v1/flows/orders/slots", read},
		{"POST", "/api/v1/runs/" + run + "/cancel", start},
		{"POST", "/api/v1/runs/" + run + "/retry", start},
		{"GET", "/api/v1/dead", read},
		{"POST", "/api/v1/dead/" + run + "/retry", start},
		{"DELETE", "/api/v1/dead/" + run, write},
		{"DELETE", "/api/v1/dead?all=true", write},
	}
	tokens := []struct {
		name, token string
		may         string
		shopOnly    bool
	}{
		{"all", tokenAll, read + write + start, false},
		{"read", tokenRead, read, false},
		{"run", tokenRun, start, false},
		{"shop", tokenShop, read + write + start, true},
		{"beats", tokenBeats, "", false},
	}
	for _, route := range routes {
		if a := s.do(t, "", route.method, route.path, ""); a.status != 401 {
			t.Errorf("%s %s without a token: got %d %s", route.method, route.path, a.status, a.body)
		}
		for _, token := range tokens {
			for _, group := range []string{"default", "shop"} {
				name := fmt.Sprintf("%s %s of %s with %s", route.method, route.path, group, token.name)
				mark := "?"
				if strings.Contains(route.path, "?") {
					mark = "&"
				}
				a := s.do(t, token.token, route.method, route.path+mark+"group="+group, "")
				allowed := strings.Contains(token.may, route.needs) && (group == "shop" || !token.shopOnly)
				if refused := a.status == 401 || a.status == 403; refused == allowed {
					t.Errorf("%s: got %d %s, allowed: %t", name, a.status, a.body, allowed)
				}
				if !allowed {
					a.problem(t)
				}
			}
		}
	}
}

func TestBadRequestsToStopRepeatOrPauseAreAnsweredWithAProblem(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	long := `{"reason":"` + strings.Repeat("é", 251) + `"}`
	tests := []struct {
		name, method, path, body string
		errors                   string
	}{
		{"a long reason to pause", "POST", "/api/v1/flows/a/pause", long, "[reason: found 502 bytes, allowed is up to 500 bytes]"},
		{"a long reason to cancel", "POST", "/api/v1/runs/a~1/cancel", long, "[reason: found 502 bytes, allowed is up to 500 bytes]"},
		{"an unknown key", "POST", "/api/v1/flows/a/pause", `{"why":"x"}`, `[why: found the key "why"`},
		{"no text for a reason", "POST", "/api/v1/runs/a~1/cancel", `{"reason":1}`, "[reason: found"},
		{"a list for a body", "POST", "/api/v1/runs/a~1/cancel", `[]`, "["},
		{"a bad name to pause", "POST", "/api/v1/flows/A%7Db/pause", "", `[name: found "A}b", allowed is a flow`},
		{"a bad name to resume", "POST", "/api/v1/flows/A%7Db/resume", "", `[name: found "A}b", allowed is a flow`},
		{"a long id to cancel", "POST", "/api/v1/runs/" + strings.Repeat("a", 129) + "/cancel", "", "[id: found"},
		{"a bad name of slots", "GET", "/api/v1/flows/A%7Db/slots", "", `[name: found "A}b"`},
		{"a slot at no time", "GET", "/api/v1/flows/a/slots?at=14:05", "", `[at: found "14:05", allowed is a time in RFC 3339`},
		{"a slot at an empty time", "GET", "/api/v1/flows/a/slots?at=", "", `[at: found "", allowed is a time`},
		{"too many slots", "GET", "/api/v1/flows/a/slots?limit=1001", "", `[limit: found "1001"`},
		{"too few dead", "GET", "/api/v1/dead?limit=0", "", `[limit: found "0"`},
		{"an unknown parameter of the dead", "GET", "/api/v1/dead?flow=a", "", "[flow: found an unknown parameter, allowed is group, limit, after]"},
		{"to purge without saying all", "DELETE", "/api/v1/dead", "", "[all: found nothing, allowed is true, which says"},
		{"to purge, and not all", "DELETE", "/api/v1/dead?all=false", "", `[all: found "false", allowed is true, which says`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := s.do(t, tokenAll, test.method, test.path, test.body)
			problem := a.problem(t)
			if got := fmt.Sprint(problem.Errors); a.status != 400 || !strings.HasPrefix(got, test.errors) {
				t.Errorf("got %d %s, want 400 %s", a.status, got, test.errors)
			}
		})
	}
}
