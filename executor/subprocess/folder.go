package subprocess

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/systole-run/systole/executor"
)

// folderPrefix is how the name of every run folder starts.
const folderPrefix = "systole-run-"

// folder is a run's own: `tmp`, which is the command's HOME, TMPDIR and, unless the flow names another, working
// folder; and beside it `cursor`, where the command may leave its new cursor. A lock on it tells that the run's
// worker lives.
//
// The command can do with it what it likes. So everything here goes through an os.Root of the folder above, which
// no symbolic link leads out of.
type folder struct {
	path string
	lock *os.File
}

// newFolder makes a run folder that only the worker's user can enter.
func newFolder(tempDir string) (*folder, error) {
	path, err := os.MkdirTemp(tempDir, folderPrefix)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	if err := f.prepare(); err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

func (f *folder) prepare() (err error) {
	if f.lock, err = lockFolder(f.path); err != nil {
		return err
	}
	return os.Mkdir(f.temp(), 0o700)
}

// give makes the folder a user's, nil being the worker's own.
func (f *folder) give(user, group *uint32) error {
	if user == nil || group == nil {
		return nil
	}
	return errors.Join(os.Chown(f.temp(), int(*user), int(*group)), os.Chown(f.path, int(*user), int(*group)))
}

func (f *folder) temp() string       { return filepath.Join(f.path, "tmp") }
func (f *folder) cursorPath() string { return filepath.Join(f.path, "cursor") }

// input gives the params as a file to read from, or /dev/null where there are none. The file has no name any more: a command
// that does not read it holds nothing up, as it would a pipe, and nothing is left to remove.
func (f *folder) input(params []byte) (*os.File, error) {
	if len(params) == 0 {
		return os.Open(os.DevNull)
	}
	file, err := os.OpenFile(filepath.Join(f.path, "params"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = file.Write(params)
	_, seekErr := file.Seek(0, io.SeekStart)
	if err = errors.Join(err, seekErr, os.Remove(file.Name())); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// cursor is what the command left as its new cursor, without the newline that echo adds; nil if it left nothing. A file
// that exists counts, even an empty one: that is how a flow starts over.
func (f *folder) cursor() (*string, error) {
	root, err := f.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	found, err := root.Lstat("cursor")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !found.Mode().IsRegular() {
		return nil, fmt.Errorf("found %s, allowed is a regular file", kind(found.Mode()))
	}
	text, err := readCursor(root, found)
	if err != nil {
		return nil, err
	}
	text = strings.TrimSuffix(text, "\n")
	return &text, nil
}

// open gives the folder itself, and not what the command may have put in its place.
func (f *folder) open() (*os.Root, error) {
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	made, lockErr := f.lock.Stat()
	if err := errors.Join(err, lockErr); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if !os.SameFile(opened, made) {
		return nil, errors.Join(errors.New("the run folder was replaced"), root.Close())
	}
	return root, nil
}

// kind says in words what a file is that is no regular one.
func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeDir:
		return "a folder"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a pipe"
	}
	return "a special file"
}

// readCursor reads the file that was found, and no other that was put in its place since; a pipe there would not
// block it.
func readCursor(root *os.Root, found fs.FileInfo) (string, error) {
	file, err := root.OpenFile("cursor", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if opened, err := file.Stat(); err != nil || !os.SameFile(found, opened) {
		return "", errors.Join(errors.New("the file was replaced while it was read"), err)
	}
	text, err := io.ReadAll(io.LimitReader(file, executor.MaxCursor+2))
	if err == nil && len(text) > executor.MaxCursor+1 {
		err = fmt.Errorf("found more than %d bytes, allowed are up to that", executor.MaxCursor)
	}
	return string(text), err
}

// remove deletes the folder with all that is in it, and lets go of its lock. Links are deleted, never followed.
func (f *folder) remove() error {
	defer closeFile(f.lock)
	return removeFolder(filepath.Dir(f.path), filepath.Base(f.path))
}
