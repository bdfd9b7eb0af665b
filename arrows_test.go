package systole_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/systole-run/systole/"

// arrows say, for each folder, which of our packages it may import. A folder covers what is below it; the longest match
// counts. A package that no folder covers is an error, so that a new one has to find its place here.
var arrows = map[string][]string{
	"store":                {"internal/strictjson", "internal/paramschema", "internal/bytesize"},
	"store/storetest":      {"store", "internal/testenv"},
	"trigger":              {"internal/logkey", "internal/metric", "internal/strictjson"},
	"executor":             {"store", "executor", "internal/bytesize", "internal/logkey", "internal/metric", "internal/secret", "internal/strictjson"},
	"worker":               {"store", "trigger", "executor", "internal/logkey", "internal/metric"},
	"internal/logkey":      {},
	"internal/metric":      {},
	"internal/strictjson":  {},
	"internal/paramschema": {"internal/strictjson"},
	"internal/bytesize":    {},
	"internal/secret":      {},
	"internal/config":      {"internal/strictjson", "internal/bytesize", "internal/secret"},
	"internal/telemetry":   {"internal/logkey", "internal/metric", "internal/secret"},
	"internal/cadence":     {"store", "internal/metric", "internal/logkey"},
	"internal/embedded":    {},
	"internal/manifest":    {"store", "internal/bytesize"},
	"internal/output":      {"store"},
	"internal/admin":       {"store", "trigger", "internal/manifest", "internal/strictjson", "internal/bytesize", "internal/logkey", "internal/admin"},
	"internal/testenv":     {},
	"cmd":                  {"store", "trigger", "executor", "worker", "internal"},
	"deploy":               {"internal/testenv"},
	"examples":             {"store", "trigger", "executor", "worker", "internal/embedded", "examples"},
}

// R6.2: the layout is the one of the design, and imports run one way.
func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		folder, ours := strings.CutPrefix(path, module)
		if !ours {
			continue // this test's own package
		}
		allowed, known := rule(folder)
		if !known {
			t.Errorf("%s: no arrow says what it may import", folder)
		}
		for _, imported := range strings.Fields(imports) {
			if target, ours := strings.CutPrefix(imported, module); ours && !slices.ContainsFunc(allowed, covers(target)) {
				t.Errorf("%s imports %s; allowed are %v", folder, target, allowed)
			}
		}
	}
}

func rule(folder string) (allowed []string, known bool) {
	longest := ""
	for covered := range arrows {
		if covers(folder)(covered) && len(covered) > len(longest) {
			longest, known = covered, true
		}
	}
	return arrows[longest], known
}

// covers tells whether target lies in a folder.
func covers(target string) func(folder string) bool {
	return func(folder string) bool { return target == folder || strings.HasPrefix(target, folder+"/") }
}

// Someone who builds a worker of their own gets neither the embedded servers nor the command line with it.
func TestTheWorkerBinaryOfSomeoneElseNeedsNoCommand(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./worker", "./trigger", "./store", "./executor/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, forbidden := range []string{"nats-server", "miniredis", "spf13/cobra", "knadh/koanf", module + "internal/testenv", module + "cmd"} {
		if strings.Contains(string(out), forbidden) {
			t.Errorf("the public packages depend on %s", forbidden)
		}
	}
}
