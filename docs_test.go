package systole_test

import (
	"os"
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

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
