//go:build rules

package observability_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// promtool runs it, from Debian's package if there is none.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("../../tools/prometheus", append([]string{"promtool"}, args...)...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestTheAlertsDoWhatTheirTestsSay(t *testing.T) {
	t.Parallel()
	promtool(t, "test", "rules", "rules_test.yml")
}

func TestPrometheusTakesItsSettingsAndRules(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "config", "prometheus.yml")
}

// Grafana's variables are no PromQL: each takes a value that it may have. A recording rule is what promtool can check.
func TestEveryQueryOfTheDashboardParses(t *testing.T) {
	t.Parallel()
	values := strings.NewReplacer("$__rate_interval", "5m", "$group", ".*", "$flow", ".*")
	rules := strings.Builder{}
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	count := 0
	for _, panel := range readDashboard(t).Panels {
		for _, query := range panel.Targets {
			fmt.Fprintf(&rules, "      - record: query:%d\n        expr: %q\n", count, values.Replace(query.Expr))
			count++
		}
	}
	if count < 35 {
		t.Errorf("found %d queries, want at least 35", count)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
