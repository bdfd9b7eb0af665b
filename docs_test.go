package systole_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// R6.1: Go, with nats.go, go-redis v9, koanf v2, and log/slog through slog-multi.
func TestTheModuleStandsOnTheAgreedLibraries(t *testing.T) {
	t.Parallel()
	direct := ""
	for line := range strings.Lines(read(t, "go.mod")) {
		if !strings.Contains(line, "// indirect") {
			direct += line
		}
	}
	for _, want := range []string{
		"go 1.26", "github.com/nats-io/nats.go v", "github.com/redis/go-redis/v9 v", "github.com/knadh/koanf/v2 v",
		"github.com/samber/slog-multi v",
	} {
		if !strings.Contains(direct, want) {
			t.Errorf("go.mod lacks a direct %q", want)
		}
	}
}

// R1.5: what a deployment needs as its trigger is documented, for users and for operators.
func TestTheTriggerIsDocumented(t *testing.T) {
	t.Parallel()
	for file, wanted := range map[string][]string{
		"README.md":        {"## Send heartbeats", "* * * * * curl", "/heartbeat", "nats pub systole.beat.default", "at least as often as your most frequent flow"},
		"deploy/README.md": {"## The trigger", "POST /heartbeat", "Authorization: Bearer", "systole.beat.default"},
	} {
		text := read(t, file)
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q", file, want)
			}
		}
	}
}

// A metric that the documentation names is one that the code registers: some names are put together from parts.
func TestTheMetricsInTheDocumentationExist(t *testing.T) {
	t.Parallel()
	code := ""
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			code += read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`systole_([a-z_]+)`").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(named) < 7 {
		t.Errorf("README.md names %d metrics", len(named))
	}
	for _, name := range named {
		if !strings.Contains(code, `"systole_`+name[1]+`"`) && !strings.Contains(code, `"`+name[1]+`"`) {
			t.Errorf("README.md names systole_%s, which nothing registers", name[1])
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
