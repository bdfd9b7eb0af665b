//go:build compose

package deploytest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// isWatched sees that Prometheus, as it is set up in deploy/observability, finds every role by its name, that it can evaluate
// every rule, and that the dashboard has something to show of all that has gone on.
func (s *stack) isWatched(ctx context.Context, t *testing.T) {
	at := s.address(ctx, t, "prometheus", "9090") + "/api/v1/"
	eventually(ctx, t, func() string { return notScraped(ctx, t, at) })
	eventually(ctx, t, func() string { return notEvaluated(ctx, t, at) })
	quiet := regexp.MustCompile(`"failed"|outcome="error"|not_run|bad_messages|breaker|4\.\.|== 0`) // of what has not happened here
	for _, query := range dashboard(t) {
		eventually(ctx, t, func() string { // the console looks each minute
			var answer struct {
				Error string
				Data  struct{ Result []any }
			}
			status := call(ctx, t, http.DefaultClient, http.MethodGet, at+"query?query="+url.QueryEscape(query), "", &answer)
			if status != http.StatusOK || len(answer.Data.Result) == 0 && !quiet.MatchString(query) {
				return fmt.Sprintf("%s: answered %d with %d results %s", query, status, len(answer.Data.Result), answer.Error)
			}
			return ""
		})
	}
}

// notScraped tells which role is not scraped, or what else is.
func notScraped(ctx context.Context, t *testing.T, at string) string {
	var targets struct {
		Data struct {
			ActiveTargets []struct {
				Discovered map[string]string `json:"discoveredLabels"`
				Health     string
				LastError  string
			}
		}
	}
	call(ctx, t, http.DefaultClient, http.MethodGet, at+"targets?state=active", "", &targets)
	var up []string
	for _, target := range targets.Data.ActiveTargets {
		if target.Health == "up" {
			up = append(up, target.Discovered["__meta_dns_name"])
		}
	}
	slices.Sort(up)
	if want := []string{"console", "gateway", "worker"}; !slices.Equal(up, want) || len(targets.Data.ActiveTargets) != len(want) {
		return fmt.Sprintf("scrapes %+v, want one of each of %v", targets.Data.ActiveTargets, want)
	}
	return ""
}

// notEvaluated tells which rule Prometheus cannot evaluate.
func notEvaluated(ctx context.Context, t *testing.T, at string) string {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	call(ctx, t, http.DefaultClient, http.MethodGet, at+"rules", "", &answer)
	rules := 0
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			rules++
			if rule.Health != "ok" {
				return fmt.Sprintf("%+v", rule)
			}
		}
	}
	if rules < 15 {
		return fmt.Sprintf("found %d rules, want at least 15", rules)
	}
	return ""
}

// dashboard gives the queries of the dashboard, for everything.
func dashboard(t *testing.T) (queries []string) {
	t.Helper()
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	data, err := os.ReadFile(filepath.Join(root, "deploy/observability/dashboard.json"))
	if err == nil {
		err = json.Unmarshal(data, &board)
	}
	if err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "2m", "$group", ".*", "$flow", ".*")
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, variables.Replace(target.Expr))
		}
	}
	return queries
}
