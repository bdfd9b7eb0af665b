package subprocess

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody runs f on a thread that the file system treats as an ordinary user's: root could remove anything. The
// thread ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := syscall.Setfsuid(65534); err != nil {
				t.Errorf("setfsuid: %v", err)
				return
			}
		}
		f()
	}()
	<-done
}

func TestFolderOfAnOrdinaryUserIsRemovedAlthoughFoldersInItAreReadOnly(t *testing.T) {
	t.Parallel()
	parent, err := os.MkdirTemp("", "systole-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o777); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		run := filepath.Join(parent, "run")
		deep := filepath.Join(run, "tmp", "a", "b")
		if err := os.MkdirAll(deep, 0o700); err != nil {
			t.Error(err)
			return
		}
		if err := os.WriteFile(filepath.Join(deep, "file"), nil, 0o400); err != nil {
			t.Error(err)
		}
		for _, dir := range []string{deep, filepath.Dir(deep), run} {
			if err := os.Chmod(dir, 0); err != nil {
				t.Error(err)
			}
		}
		if err := os.RemoveAll(run); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("the folder is no obstacle: %v", err)
		}
		if err := removeFolder(parent, "run"); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(run); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder is still there: %v", err)
		}
	})
}

// A command may have renamed its run folder, and put a link to another's in its place.
func TestFolderThatWasReplacedIsNotTakenForTheRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	f, err := newFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.Mkdir(other, 0o755), os.WriteFile(filepath.Join(other, "cursor"), []byte("another's"), 0o600),
		os.Rename(f.path, f.path+"-away"), os.Symlink("other", f.path),
	); err != nil {
		t.Fatal(err)
	}
	if cursor, err := f.cursor(); err == nil || cursor != nil {
		t.Errorf("read a cursor: %v, %v", cursor, err)
	}
	if err := f.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link is still there: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(other, "cursor")); string(text) != "another's" {
		t.Errorf("the other folder: %q, %v", text, err)
	}
	if info, err := os.Stat(other); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the other folder: %v, %v", info, err)
	}
}

// deepEnv has a test remove the deep folder of this name, in a process that may have few descriptors.
const deepEnv = "SUBPROCESS_TEST_DEEP"

func TestDeepFoldersAreRemovedWithFewDescriptors(t *testing.T) {
	if dir := os.Getenv(deepEnv); dir != "" {
		if err := removeFolder(filepath.Dir(dir), filepath.Base(dir)); err != nil {
			t.Error(err)
		}
		return
	}
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	deepen(t, dir, 500)
	cmd := exec.Command("sh", "-c", `ulimit -n 64; exec "$0" "$@"`, os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), deepEnv+"="+dir)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// deepen makes folders in one another, each with a file, a link and an empty folder, deeper than any path is long.
func deepen(t *testing.T, dir string, depth int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	name := strings.Repeat("a", 50)
	for range depth {
		if err == nil {
			err = errors.Join(unix.Mkdirat(at, name, 0o700), unix.Mkdirat(at, "empty", 0), unix.Symlinkat("/", at, "link"), unix.Mknodat(at, "file", unix.S_IFREG, 0))
		}
		inner, openErr := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		err = errors.Join(err, openErr, unix.Close(at))
		at = inner
	}
	if err = errors.Join(err, unix.Close(at)); err != nil {
		t.Fatal(err)
	}
}
