package manifest_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/systole-run/systole/internal/manifest"
)

// folder writes files into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func flowNamed(name string) string { return "name: " + name + "\nexec: {command: [a]}\n" }

func names(flows []manifest.Flow) []string {
	var names []string
	for _, flow := range flows {
		names = append(names, flow.Name)
	}
	return names
}

func TestReadPathReadsAFoldersManifestsInTheOrderOfTheirNames(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"b.yaml": flowNamed("b"), "a.yml": flowNamed("a1") + "---\n" + flowNamed("a2"), "c.yaml": "",
		".hidden.yaml": "broken: [", "notes.txt": "broken: [", "sub/d.yaml": "broken: [", "e.yaml/x": "",
	})
	flows, err := manifest.ReadPath(dir)
	if want := []string{"a1", "a2", "b"}; err != nil || !reflect.DeepEqual(names(flows), want) {
		t.Fatalf("got %v and %v, want %v", names(flows), err, want)
	}
	if want := filepath.Join(dir, "a.yml"); flows[1].File != want || flows[1].Line != 4 {
		t.Errorf("the second flow is at %s:%d, want %s:4", flows[1].File, flows[1].Line, want)
	}
}

func TestReadPathReadsAFolderWithoutManifestsAsNoFlows(t *testing.T) {
	t.Parallel()
	if flows, err := manifest.ReadPath(t.TempDir()); err != nil || len(flows) != 0 {
		t.Errorf("got %v and %v", flows, err)
	}
}

func TestReadPathFollowsLinksWithinTheFolderOnly(t *testing.T) {
	t.Parallel()
	outside := folder(t, map[string]string{"secret.yaml": flowNamed("secret")})
	dir := folder(t, map[string]string{"..data/flow.yaml": flowNamed("mounted")})
	link(t, "..data/flow.yaml", filepath.Join(dir, "flow.yaml"))
	if flows, err := manifest.ReadPath(dir); err != nil || !reflect.DeepEqual(names(flows), []string{"mounted"}) {
		t.Fatalf("got %v and %v", names(flows), err)
	}
	link(t, filepath.Join(outside, "secret.yaml"), filepath.Join(dir, "leak.yaml"))
	flows, err := manifest.ReadPath(dir)
	if err == nil || len(flows) > 0 || !strings.Contains(err.Error(), "leak.yaml: found that it cannot be read (path escapes from parent)") {
		t.Errorf("got %v and %v", names(flows), err)
	}
}

func TestReadPathDoesNotWaitForANamedPipeInAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.ReadPath(dir); err == nil || !strings.Contains(err.Error(), "pipe.yaml: found a file of type p---------, allowed is a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestReadPathReportsTheErrorsOfAllFilesTogether(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a.yaml": flowNamed("x"), "b.yaml": flowNamed("x"), "c.yaml": "name: [\n", "d.yaml": flowNamed("Y")})
	_, err := manifest.ReadPath(dir)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		`b.yaml:1:7: name: found "x", which ` + filepath.Join(dir, "a.yaml") + `:1:7 already defines in group "default"`,
		`c.yaml:1:7: found YAML that cannot be read`, `d.yaml:1:7: name: found "Y"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got\n%v\nwhich lacks %s", err, want)
		}
	}
}

func TestReadPathsTakesFilesFoldersAndStandardInputAsOne(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a.yaml": flowNamed("a"), "sub/b.yaml": flowNamed("b")})
	flows, err := manifest.ReadPaths(strings.NewReader(flowNamed("c")), filepath.Join(dir, "a.yaml"), filepath.Join(dir, "sub"), "-")
	if want := []string{"a", "b", "c"}; err != nil || !reflect.DeepEqual(names(flows), want) {
		t.Fatalf("got %v and %v, want %v", names(flows), err, want)
	}
	_, err = manifest.ReadPaths(strings.NewReader(flowNamed("a")), filepath.Join(dir, "a.yaml"), "-")
	if err == nil || !strings.HasPrefix(err.Error(), `<stdin>:1:7: name: found "a", which `) {
		t.Errorf("got %v", err)
	}
}

func TestReadPathSaysThatThereIsNothing(t *testing.T) {
	t.Parallel()
	if _, err := manifest.ReadPath("/nonexistent/flows"); err == nil ||
		err.Error() != "/nonexistent/flows: found that it cannot be read (no such file or directory), allowed is a readable file or folder, or - for standard input" {
		t.Errorf("got %v", err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
