package secret_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/systole-run/systole/internal/secret"
)

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestASecretInAFileLosesOneNewline(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	for content, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a ": " a "} {
		put(t, path, content)
		if got, err := secret.ReadFile(path); got != want || err != nil {
			t.Errorf("%q gives %q and %v, want %q", content, got, err, want)
		}
	}
}

func TestWhatIsNoSecretIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "empty"), "\n")
	put(t, filepath.Join(dir, "long"), strings.Repeat("x", secret.MaxBytes+1))
	put(t, filepath.Join(dir, "longest"), strings.Repeat("x", secret.MaxBytes))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"empty": secret.ErrEmpty, "long": secret.ErrTooLong, "longest": nil, "pipe": secret.ErrNotRegular, ".": secret.ErrNotRegular, "missing": fs.ErrNotExist,
	} {
		if _, err := secret.ReadFile(filepath.Join(dir, name)); !errors.Is(err, want) {
			t.Errorf("ReadFile(%s): %v, want %v", name, err, want)
		}
		if _, err := secret.ReadIn(dir, name); !errors.Is(err, want) {
			t.Errorf("ReadIn(%s): %v, want %v", name, err, want)
		}
	}
	if _, err := secret.ReadFile(filepath.Join(dir, "missing")); err == nil || err.Error() != "cannot be read (no such file or directory)" {
		t.Errorf("got %v", err)
	}
}

// As Kubernetes mounts a secret: the name leads to ..data, which leads to a folder that is exchanged as a whole.
func TestLinksAreFollowedWithinTheFolderAndNotOutOfIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	put(t, outside, "stolen")
	put(t, filepath.Join(dir, "..2026_11_25_08_00_00.1", "db"), "first")
	put(t, filepath.Join(dir, "..2026_11_25_09_00_00.2", "db"), "second")
	link(t, "..2026_11_25_08_00_00.1", filepath.Join(dir, "..data"))
	link(t, "..data/db", filepath.Join(dir, "db"))
	link(t, outside, filepath.Join(dir, "absolute"))
	link(t, "../"+filepath.Base(filepath.Dir(outside))+"/outside", filepath.Join(dir, "relative"))
	if got, err := secret.ReadIn(dir, "db"); got != "first" || err != nil {
		t.Fatalf("got %q and %v", got, err)
	}
	link(t, "..2026_11_25_09_00_00.2", filepath.Join(dir, "..new"))
	if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if got, err := secret.ReadIn(dir, "db"); got != "second" || err != nil {
		t.Errorf("after the exchange: %q and %v", got, err)
	}
	for _, name := range []string{"absolute", "relative", "../" + filepath.Base(filepath.Dir(outside)) + "/outside", outside} {
		if got, err := secret.ReadIn(dir, name); got != "" || err == nil {
			t.Errorf("%s leads out of the folder: %q and %v", name, got, err)
		}
	}
}
