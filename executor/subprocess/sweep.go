package subprocess

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/systole-run/systole/internal/logkey"
)

// sweepAge spares folders so young that their run may not have locked them yet.
const sweepAge = time.Minute

// lockFolder takes the folder's lock, or fails if a process holds it. The kernel frees it when the file is closed, and
// so when its worker dies, however that happens. Commands do not inherit it.
func lockFolder(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		closeFile(file)
		return nil, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return file, nil
}

// sweep removes the run folders that nobody has locked: a worker that was killed could not. What it cannot remove, such
// as another user's, it leaves.
func sweep(tempDir string, log *slog.Logger) {
	entries, err := os.ReadDir(tempDir)
	if err != nil {
		log.Warn("run folders of dead workers could not be looked for", logkey.File, tempDir, logkey.Error, err)
		return
	}
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), folderPrefix) {
			continue
		}
		if info, err := entry.Info(); err != nil || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		lock, err := lockFolder(filepath.Join(tempDir, entry.Name()))
		if err != nil {
			continue
		}
		if err := removeFolder(tempDir, entry.Name()); err != nil {
			log.Warn("run folder of a dead worker could not be removed", logkey.File, lock.Name(), logkey.Error, err)
		} else {
			log.Info("run folder of a dead worker removed", "folder", lock.Name())
		}
		closeFile(lock)
	}
}
