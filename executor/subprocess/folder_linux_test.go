package subprocess

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
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
