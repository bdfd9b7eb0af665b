//go:build unix

package testenv

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

var keptUntilExit struct {
	mu    sync.Mutex
	files []*os.File // referred to, or the finalizer would close them
}

// keepUntilExit locks the file at path until this process ends, and tells whether it could: another may have it.
func keepUntilExit(path string) (bool, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return false, err
	}
	keptUntilExit.mu.Lock()
	defer keptUntilExit.mu.Unlock()
	keptUntilExit.files = append(keptUntilExit.files, file)
	return true, nil
}
