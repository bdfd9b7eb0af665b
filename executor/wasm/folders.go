package wasm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/tetratelabs/wazero"

	"github.com/systole-run/systole/store"
)

// folders opens the folders of the worker that the flow lists, by the paths at which the module finds them. Each is opened
// from the operator's folder that allows it, out of which no link leads. What was opened before an error is given
// with it.
func (e *Executor) folders(spec store.WASMSpec) (map[string]*os.Root, error) {
	opened := make(map[string]*os.Root, len(spec.Folders))
	for guest, host := range spec.Folders {
		root, err := e.folder(host)
		if err != nil {
			return opened, fmt.Errorf("folder %s: %w", host, err)
		}
		opened[guest] = root
	}
	return opened, nil
}

func (e *Executor) folder(host string) (*os.Root, error) {
	for _, allowed := range e.cfg.Folders {
		beneath, err := filepath.Rel(allowed, host)
		if err != nil || beneath == ".." || strings.HasPrefix(beneath, "../") {
			continue
		}
		root, err := os.OpenRoot(allowed)
		if err != nil || beneath == "." {
			return root, err
		}
		defer root.Close()
		return root.OpenRoot(beneath)
	}
	if len(e.cfg.Folders) == 0 {
		return nil, errors.New("executor.wasm.folders allows none")
	}
	return nil, fmt.Errorf("executor.wasm.folders allows %s alone", strings.Join(e.cfg.Folders, ", "))
}

func closeAll(roots map[string]*os.Root) {
	for _, root := range roots {
		_ = root.Close()
	}
}

func mounts(roots map[string]*os.Root) wazero.FSConfig {
	config := wazero.NewFSConfig()
	open := make(chan struct{}, maxOpen)
	for guest, root := range roots {
		config = config.WithFSMount(readOnly{root, open}, guest)
	}
	return config
}

// readOnly is a folder of which files can be read and folders be listed. Anything else in it, such as a pipe, which could
// hold a run up for ever, or a link that leads out, is not there for the module.
type readOnly struct {
	root *os.Root
	open chan struct{} // holds one for each file that the module has open, in any of its folders
}

// maxOpen is how many files a module may have open: their descriptors are the worker's.
const maxOpen = 100

// openFile is a file that the module has open.
type openFile struct {
	*os.File
	open   chan struct{}
	closed sync.Once
}

// Close implements fs.File.
func (f *openFile) Close() error {
	f.closed.Do(func() { <-f.open })
	return f.File.Close()
}

// Open implements fs.FS.
func (f readOnly) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	select {
	case f.open <- struct{}{}:
	default:
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	file, err := openRegular(f.root, name, fs.ModeDir)
	if err == nil {
		return &openFile{File: file, open: f.open}, nil
	}
	<-f.open
	if errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// openRegular opens a regular file, or one of another kind that is allowed as well, for reading.
func openRegular(root *os.Root, name string, also ...fs.FileMode) (*os.File, error) {
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() && !(len(also) > 0 && info.Mode().Type() == also[0]) {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a regular file")}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}
