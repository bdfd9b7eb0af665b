package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/config"
)

func FuzzAnyFileGivesAConfigOrAnInvalidError(f *testing.F) {
	for _, seed := range []string{
		"log: {level: debug}", "gateway:\n  auth:\n    tokens:\n      - {name: a, value: 'env:X'}\n", "redis: {url: [redis://a, redis://b]}",
		"a: &a [*a]", "<<: *x", "? {a: b}\n: c", "worker: !!int 5", "- - -\n", "\"", "worker: {lease: |\n 5s}", "---\n---\n",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "fuzz.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, config.Options{File: path, Environ: func() []string { return []string{"X=0123456789abcdef"} }})
	})
}

func FuzzAnyEnvironmentGivesAConfigOrAnInvalidError(f *testing.F) {
	f.Add("SYSTOLE_GATEWAY__AUTH__TOKENS", `[{"name":"a","value":"b"}]`)
	f.Add("SYSTOLE_REDIS__URL", `["redis://u:p@a:1/0","redis://b"]`)
	f.Add("SYSTOLE_GATEWAY__ALLOW", "10.0.0.0/8,::1")
	f.Add("SYSTOLE_WORKER__", "")
	f.Add("SYSTOLE_GATEWAY__MAX_BODY", "9999999999GiB")
	f.Fuzz(func(t *testing.T, name, value string) {
		check(t, config.Options{Environ: func() []string { return []string{name + "=" + value} }})
	})
}

func check(t *testing.T, opts config.Options) {
	cfg, err := config.Load(opts)
	var invalid *config.InvalidError
	switch {
	case err == nil:
		var shown strings.Builder
		if err := cfg.Show(&shown); err != nil {
			t.Fatal(err)
		}
	case !errors.As(err, &invalid) || len(invalid.Problems) == 0:
		t.Fatalf("error is %v", err)
	}
}
