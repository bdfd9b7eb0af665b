package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

// applied reads what apply says for programs, as "name result" in order, and its counts.
func applied(t *testing.T, env []string, args ...string) (said string, all output.Applied) {
	t.Helper()
	decode(t, run(t, env, append([]string{"flow", "apply", "-o", "json"}, args...)...), &all)
	var words []string
	for _, change := range all.Results {
		words = append(words, change.Name+" "+string(change.Result))
	}
	return strings.Join(words, ", "), all
}

func listed(t *testing.T, env []string) string {
	t.Helper()
	var list struct{ Flows []struct{ Name string } }
	decode(t, run(t, env, "flow", "list", "-o", "json"), &list)
	var names []string
	for _, flow := range list.Flows {
		names = append(names, flow.Name)
	}
	return strings.Join(names, " ")
}

func TestAFolderIsTheTruthAboutTheFlowsThatCameFromIt(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	env := against(dev)
	dir := folder(t, map[string]string{"good.yaml": goodFlow, "report.yaml": demandFlow})
	other := folder(t, map[string]string{"other.yaml": "name: other\nfunction: {name: noop}\n"})
	runWith(t, "name: piped\nfunction: {name: noop}\n", env, "flow", "apply", "-f", "-").expect(t, exitFine, "piped", "created")
	run(t, env, "flow", "apply", "-f", other).expect(t, exitFine)

	run(t, env, "flow", "apply", "-f", dir, "--dry-run").expect(t, exitFine, "2 created, 0 changed, 0 unchanged, 0 orphaned (dry run")
	if got := listed(t, env); got != "other piped" {
		t.Errorf("a dry run left %s", got)
	}
	run(t, env, "flow", "apply", "-f", dir).expect(t, exitFine, "2 created, 0 changed, 0 unchanged, 0 orphaned").without(t, "\r", "dry run")
	if got, _ := applied(t, env, "-f", dir+"/."); got != "good unchanged, report unchanged" {
		t.Errorf("applied again: %s", got)
	}

	overwrite(t, filepath.Join(dir, "good.yaml"), strings.Replace(goodFlow, "1h", "2h", 1))
	if err := os.Remove(filepath.Join(dir, "report.yaml")); err != nil {
		t.Fatal(err)
	}
	run(t, env, "flow", "apply", "-f", dir, "--dry-run").expect(t, exitFine, "every", "1h", "2h", "report", "0 created, 1 changed, 0 unchanged, 1 orphaned")
	if got, all := applied(t, env, "-f", dir, "--dry-run", "--prune"); got != "good changed, report deleted" || !all.DryRun || all.Summary != (output.Summary{Changed: 1, Deleted: 1}) {
		t.Errorf("would prune: %s", got)
	}
	if got, all := applied(t, env, "-f", dir); got != "good changed, report orphaned" || all.Source != dir || all.Results[0].Changes[0].Field != "every" {
		t.Errorf("without pruning: %s from %s", got, all.Source)
	}
	if got, _ := applied(t, env, "-f", dir, "--prune"); got != "good unchanged, report deleted" {
		t.Errorf("pruned: %s", got)
	}
	if got := listed(t, env); got != "good other piped" {
		t.Errorf("left are %s", got)
	}
	run(t, env, "flow", "show", "good", "-o", "yaml").expect(t, exitFine, "source: "+dir)
}

func TestANamedSourceHoldsWhereverItsFilesAre(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	env := against(dev)
	first, second := folder(t, map[string]string{"a.yaml": goodFlow}), folder(t, map[string]string{"b.yaml": demandFlow})
	run(t, env, "flow", "apply", "-f", first, "--source", "shop").expect(t, exitFine)
	if got, _ := applied(t, env, "-f", second, "--source", "shop", "--prune"); got != "report created, good deleted" {
		t.Errorf("got %s", got)
	}
	runWith(t, goodFlow, env, "flow", "apply", "-f", "-", "--source", "shop", "--prune").expect(t, exitFine, "1 created", "1 deleted")
}

func TestPruneRefusesWhatWouldDeleteTooMuch(t *testing.T) {
	t.Parallel()
	dev := startDev(t, nil)
	env := against(dev)
	dir := folder(t, map[string]string{"good.yaml": goodFlow})
	run(t, env, "flow", "apply", "-f", dir).expect(t, exitFine)
	overwrite(t, filepath.Join(dir, "good.yaml"), "name: good\nevery: never\n")
	run(t, env, "flow", "apply", "-f", dir, "--prune").expect(t, exitFailed, "every: found")
	overwrite(t, filepath.Join(dir, "good.yaml"), "# nothing\n")
	run(t, env, "flow", "apply", "-f", dir, "--prune").expect(t, exitFailed, "found no flow in "+dir)
	run(t, env, "flow", "apply", "-f", dir).expect(t, exitFine, "good", "1 orphaned")
	runWith(t, demandFlow, env, "flow", "apply", "-f", "-", "--prune").expect(t, exitUsage, "--source: found none")
	run(t, env, "flow", "apply", "-f", dir, "--source", strings.Repeat("s", 201)).expect(t, exitUsage, "--source: found", "up to 200 bytes")
	run(t, env, "flow", "apply", "--prune").expect(t, exitUsage, "--filename")
	if got := listed(t, env); got != "good" {
		t.Errorf("left are %s", got)
	}
}

func TestSourceOfNamesPathsAsTheyWereGiven(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü/", 150)
	for want, paths := range map[string][]string{
		"flows":                        {"./flows/"},
		"/srv/flows":                   {"/srv//flows/x/.."},
		"a.yaml,b":                     {"b/", "a.yaml", "b"},
		"":                             {"flows", "-"},
		".":                            {"."},
		sourceOf([]string{long + "x"}): {long + "x/"},
	} {
		if got := sourceOf(paths); got != want || store.CheckSource(got) != nil {
			t.Errorf("%v: %q, want %q", paths, got, want)
		}
	}
	if sourceOf([]string{long + "x"}) == sourceOf([]string{long + "y"}) {
		t.Error("two long paths are one source")
	}
	if got := sourceOf([]string{"bad\xff\n"}); store.CheckSource(got) != nil {
		t.Errorf("%q is no source", got)
	}
}

func TestThousandsOfFilesAreAppliedByOneCommand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("reads thousands of files")
	}
	dev := startDev(t, nil)
	const count = 2500
	files := make(map[string]string, count)
	for n := range count {
		files[fmt.Sprintf("flow-%05d.yaml", n)] = fmt.Sprintf("name: flow-%05d\nevery: 1h\nexec:\n  command: [\"echo\", \"%d\"]\n", n, n)
	}
	dir := folder(t, files)
	run(t, against(dev), "flow", "apply", "-f", dir).expect(t, exitFine, "2500 created, 0 changed, 0 unchanged, 0 orphaned")
	run(t, against(dev), "flow", "apply", "-f", dir).expect(t, exitFine, "0 created, 0 changed, 2500 unchanged, 0 orphaned").without(t, "NAME")
}

func TestTheSchemaIsPrinted(t *testing.T) {
	t.Parallel()
	var schema struct{ Title string }
	if err := json.Unmarshal([]byte(run(t, nil, "flow", "schema").expect(t, exitFine).out), &schema); err != nil || schema.Title != "Systole DataFlow" {
		t.Errorf("got %+v, %v", schema, err)
	}
}
