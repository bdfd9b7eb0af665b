package triggers_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// proofs name the tests that run each example.
var proofs = map[string][]string{
	"manual":             {"TestAHeartbeatByHandTellsWhatRan", "TestAHeartbeatByHandFailsWhereTheGatewayRefuses"},
	"cron":               {"TestTheLineOfTheCrontabSendsAHeartbeat"},
	"systemd":            {"TestTheUnitsOfSystemdAreValid", "TestTheServiceOfSystemdSendsAHeartbeat"},
	"kubernetes-cronjob": {"TestTheCommandOfTheCronJobSendsAHeartbeat", "TestTheCronJobNeedsNoSecret"},
	"github-actions":     {"TestTheWorkflowOfGitHubSendsAHeartbeat", "TestTheWorkflowOfGitHubNeedsNoSecret"},
	"cloud-scheduler":    {"TestTheRequestOfCloudSchedulerIsAHeartbeat", "TestCloudSchedulerSendsWhatItsRequestSays"},
	"eventbridge":        {"TestTheRequestOfEventBridgeIsAHeartbeat", "TestEventBridgeSendsWhatItsRequestSays"},
	"nats-publish":       {"TestAMessageInNATSIsAHeartbeat", "TestTheScriptInPythonPublishesAHeartbeat", "TestTheCommandOfNATSPublishesAHeartbeat"},
	"nats-schedule":      {"TestAScheduleOfNATSRunsAFlowAgainAndAgain", "TestTheCommandOfNATSSetsASchedule"},
	"signed":             {"TestTheSignedScriptSendsAHeartbeat"},
	"redundant":          {"TestTwoSchedulersGiveEachSlotOneRun", "TestWhereOneSchedulerDiesTheOtherGoesOn"},
	"rails":              {"TestTheRakeTaskSendsAHeartbeat", "TestTheRakeTaskTellsWhatFailed"},
	"django":             {"TestTheManagementCommandSendsAHeartbeat"},
}

// R4.3, R4.5: each trigger has a page that tells all that an operator asks, and a test.
func TestEachTriggerHasAPageAndATest(t *testing.T) {
	t.Parallel()
	tests, overview := testNames(t), read(t, "README.md")
	folders, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		count++
		page := read(t, filepath.Join(folder.Name(), "README.md"))
		for _, part := range []string{"**You need**", "```", "**It works**", "**It stops**"} {
			if !strings.Contains(page, part) {
				t.Errorf("%s/README.md has no %q", folder.Name(), part)
			}
		}
		if !strings.Contains(page, "| failure |") && !strings.Contains(page, "**It fails**") {
			t.Errorf("%s/README.md does not say how it fails", folder.Name())
		}
		if !strings.Contains(overview, "]("+folder.Name()+"/README.md)") {
			t.Errorf("README.md does not name %s", folder.Name())
		}
		if len(proofs[folder.Name()]) == 0 {
			t.Errorf("no test runs %s", folder.Name())
		}
		for _, name := range proofs[folder.Name()] {
			if !slices.Contains(tests, name) {
				t.Errorf("there is no %s, which is to run %s", name, folder.Name())
			}
		}
	}
	if count != len(proofs) {
		t.Errorf("there are %d folders, and tests of %d", count, len(proofs))
	}
}

// What a page links to in this repository is there.
func TestTheLinksOfThePagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*/README.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, page := range append(pages, "README.md") {
		for _, found := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), found[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// testNames are the tests of this package, whatever their build tags.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range file.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
