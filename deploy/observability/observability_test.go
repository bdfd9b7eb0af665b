// Package observability_test checks what is here to import into other systems. What promtool checks is behind the build
// tag rules (make rules); that every metric exists is tested with the program, in cmd/systole.
package observability_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

type ruleGroups struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func alerts(t *testing.T) []rule {
	t.Helper()
	var file ruleGroups
	readYAML(t, "rules.yml", &file)
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("found %d alerts, want at least 15", len(all))
	}
	return all
}

func TestEachAlertSaysHowBadItIsAndLeadsToWhatToDo(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range alerts(t) {
		if severity := alert.Labels["severity"]; severity != "critical" && severity != "warning" {
			t.Errorf("%s: severity is %q, allowed are critical and warning", alert.Alert, severity)
		}
		anchor := strings.ToLower(alert.Alert)
		if want := "https://github.com/systole-run/systole/blob/main/deploy/observability/README.md#" + anchor; alert.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, want %q", alert.Alert, alert.Annotations["runbook_url"], want)
		}
		if row := `<a id="` + anchor + "\"></a>`" + alert.Alert + "` | "; !strings.Contains(string(page), row) {
			t.Errorf("README.md has no row %q", row)
		}
	}
}

// An alert whose tests only see it fire, or only see it silent, may be one that always does.
func TestEachAlertIsTestedToFireAndToBeSilent(t *testing.T) {
	t.Parallel()
	var file struct {
		Tests []struct {
			Checks []struct {
				Alert  string `yaml:"alertname"`
				Alerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	readYAML(t, "rules_test.yml", &file)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, check := range test.Checks {
			fires[check.Alert] = fires[check.Alert] || len(check.Alerts) > 0
			silent[check.Alert] = silent[check.Alert] || len(check.Alerts) == 0
		}
	}
	for _, alert := range alerts(t) {
		if !fires[alert.Alert] || !silent[alert.Alert] {
			t.Errorf("%s: tested to fire %t, to be silent %t", alert.Alert, fires[alert.Alert], silent[alert.Alert])
		}
	}
}

type target struct {
	Expr       string
	Datasource struct{ UID string }
}

type dashboard struct {
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID         int
		Type       string
		Title      string
		GridPos    struct{ X, Y, W, H int }
		Datasource struct{ UID string }
		Targets    []target
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(data, &board); err != nil {
		t.Fatal(err)
	}
	return board
}

func TestTheDashboardTakesAnyDataSource(t *testing.T) {
	t.Parallel()
	board := readDashboard(t)
	const chosen = "${datasource}"
	for _, panel := range board.Panels {
		if panel.Type == "row" {
			continue
		}
		if panel.Datasource.UID != chosen || len(panel.Targets) == 0 {
			t.Errorf("panel %q asks %q with %d queries", panel.Title, panel.Datasource.UID, len(panel.Targets))
		}
		for _, query := range panel.Targets {
			if query.Datasource.UID != chosen {
				t.Errorf("a query of panel %q asks %q", panel.Title, query.Datasource.UID)
			}
		}
	}
	var variables []string
	for _, variable := range board.Templating.List {
		variables = append(variables, variable.Name+" "+variable.Type)
	}
	if want := []string{"datasource datasource", "group query", "flow query"}; !slices.Equal(variables, want) {
		t.Errorf("variables are %q, want %q", variables, want)
	}
}

func TestThePanelsOfTheDashboardDoNotOverlap(t *testing.T) {
	t.Parallel()
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, panel := range readDashboard(t).Panels {
		if ids[panel.ID] {
			t.Errorf("panel %q has the id %d, as another one", panel.Title, panel.ID)
		}
		ids[panel.ID] = true
		at := panel.GridPos
		if at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("panel %q is at %+v, which is beside the 24 columns", panel.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, there := taken[[2]int{x, y}]; there {
					t.Fatalf("panel %q lies on %q", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
	}
}
