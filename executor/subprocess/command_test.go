package subprocess_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/secrets"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/store"
)

// write makes a file with the folders above it.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestProgramIsLookedUpFromTheFlowsFolderOrOnPath(t *testing.T) {
	t.Parallel()
	home, path := t.TempDir(), t.TempDir()
	write(t, filepath.Join(home, "hello.sh"), "#!/bin/sh\necho hello from $(basename $(pwd))\n", 0o755)
	write(t, filepath.Join(home, "jobs", "hello.sh"), "#!/bin/sh\necho hello from jobs, in $(basename $(pwd))\n", 0o755)
	write(t, filepath.Join(home, "ls"), "#!/bin/sh\necho not the real ls\n", 0o755)
	write(t, filepath.Join(path, "greet"), "#!/bin/sh\necho greetings $1\n", 0o755)
	e, err := subprocess.New(subprocess.Config{
		Dir: home, TempDir: t.TempDir(), Path: ".:" + path + ":/usr/bin:/bin", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		command []string
		dir     string
		want    string
	}{
		{"from the worker's folder, in a temporary one", []string{"./hello.sh"}, "", "hello from tmp\n"},
		{"from the flow's folder, and in it", []string{"./hello.sh"}, filepath.Join(home, "jobs"), "hello from jobs, in jobs\n"},
		{"the flow's folder is relative", []string{"./hello.sh"}, "jobs", "hello from jobs, in jobs\n"},
		{"an absolute path", []string{filepath.Join(home, "hello.sh")}, "jobs", "hello from jobs\n"},
		{"on PATH", []string{"greet", "you all"}, "", "greetings you all\n"},
		{"PATH never means the working folder", []string{"ls", "-d", "/"}, home, "/\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log := executor.NewTail(0)
			flow := store.DataFlow{Name: "orders", Exec: &store.ExecSpec{Command: c.command, Dir: c.dir}}
			result := e.Execute(t.Context(), executor.Task{Flow: flow, Log: log})
			if got := string(log.Snapshot()); result.Err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, result.Err, c.want)
			}
		})
	}
}

func TestCommandThatCannotBeStartedIsRefusedForGood(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	write(t, filepath.Join(home, "plain.txt"), "text", 0o644)
	write(t, filepath.Join(home, "script"), "#!/no/such/interpreter\n", 0o755)
	write(t, filepath.Join(home, "garbage"), "\x01\x02", 0o755)
	for _, c := range []struct {
		name    string
		command []string
		dir     string
		want    string
	}{
		{"no such program on PATH", []string{"no-such-program"}, "", `found no program "no-such-program" on PATH`},
		{"no such file", []string{"./missing.sh"}, "", "missing.sh: no such file"},
		{"not executable", []string{"./plain.txt"}, "", "permission denied"},
		{"a folder", []string{"./"}, "", "is a directory"},
		{"no such interpreter", []string{"./script"}, "", "no such file or directory (the program is there; what its first line, #!,"},
		{"no program at all", []string{"./garbage"}, "", "exec format error (it is no program of this machine's kind,"},
		{"no such folder", []string{"true"}, filepath.Join(home, "missing"), "find dir"},
		{"a file as its folder", []string{"true"}, filepath.Join(home, "plain.txt"), "allowed is a folder"},
		{"arguments too long", []string{"true", strings.Repeat("x", 1<<20)}, "", "argument list too long"},
		{"no command", nil, "", "without one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "")
			spec := &store.ExecSpec{Command: c.command, Dir: c.dir}
			if spec.Dir == "" {
				spec.Dir = home
			}
			f.task.Flow.Exec = spec
			result, _ := f.run(t)
			if result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(fmt.Sprint(result.Err), c.want) {
				t.Errorf("got %+v, want an error with %q", result, c.want)
			}
		})
	}
}

func TestSecretThatNoEnvironmentCanHoldIsRefusedByName(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "true")
	f.task.Flow.Exec.Env = map[string]string{"KEY": "secret:binary"}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "binary"), "ab\x00cd", 0o600)
	s, err := secrets.New(secrets.Config{Allow: []string{"*/orders secret:binary"}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	result := s.Guard(f).Execute(t.Context(), f.task)
	if result.Reason != store.ReasonRefused || result.Err == nil || result.Err.Error() != "set KEY: found a NUL byte in secret:binary, allowed is text without one" {
		t.Errorf("got %+v", result)
	}
}
