package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/config"
)

// options gives Options over a file with this content (none if empty) and this environment only.
func options(t testing.TB, file string, environ ...string) config.Options {
	t.Helper()
	opts := config.Options{Environ: func() []string { return environ }}
	if file != "" {
		opts.File = write(t, "systole.yaml", file)
	}
	return opts
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, opts config.Options) config.Config {
	t.Helper()
	cfg, err := config.Load(opts)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

// problems gives what Load complains about; it fails the test if that is nothing.
func problems(t testing.TB, opts config.Options) []config.Problem {
	t.Helper()
	_, err := config.Load(opts)
	var invalid *config.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("Load gave %v, want an InvalidError", err)
	}
	return invalid.Problems
}

// one gives the only problem, which must be with this key.
func one(t testing.TB, opts config.Options, key string) config.Problem {
	t.Helper()
	found := problems(t, opts)
	if len(found) != 1 || found[0].Key != key {
		t.Fatalf("problems are\n%v\nwant one with %s", lines(found), key)
	}
	return found[0]
}

func lines(found []config.Problem) string {
	var texts []string
	for _, p := range found {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "\n")
}

func keysOf(found []config.Problem) []string {
	var keys []string
	for _, p := range found {
		keys = append(keys, p.Key)
	}
	slices.Sort(keys)
	return keys
}

func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not contain %q", text, part)
		}
	}
}
