package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ReadPath reads a file, a folder, or standard input ("-").
//
// Of a folder it reads the files *.yaml and *.yml directly in it, sorted by name; hidden ones are skipped, and symbolic
// links are followed only to files within the folder, as a mounted ConfigMap has them. A folder without such files has no flows. Errors are
// as for Parse, over all files together.
func ReadPath(path string) ([]Flow, error) { return ReadPaths(os.Stdin, path) }

// ReadPaths reads several paths as one: a name may be defined once in all of them together. "-" reads stdin.
func ReadPaths(stdin io.Reader, paths ...string) ([]Flow, error) {
	var flows []Flow
	var errs Errors
	for _, path := range paths {
		found, wrong := readPath(stdin, path)
		flows, errs = append(flows, found...), append(errs, wrong...)
	}
	errs = append(errs, doubled(flows)...)
	if len(errs) > 0 {
		return nil, errs
	}
	return flows, nil
}

func readPath(stdin io.Reader, path string) ([]Flow, Errors) {
	if path == "-" {
		return read("<stdin>", stdin)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	if info.IsDir() {
		return readFolder(path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	defer file.Close()
	return read(path, file)
}

// readFolder reads the folder's files through an os.Root, which refuses every link that leads out of it.
func readFolder(path string) ([]Flow, Errors) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	var flows []Flow
	var errs Errors
	for _, entry := range entries {
		if !isManifest(entry.Name()) || entry.IsDir() {
			continue
		}
		found, wrong := readEntry(root, entry.Name(), filepath.Join(path, entry.Name()))
		flows, errs = append(flows, found...), append(errs, wrong...)
	}
	return flows, errs
}

// readEntry reads one file of a folder. What is not a regular file is refused before it is opened: opening a named pipe would wait.
func readEntry(root *os.Root, name, shown string) ([]Flow, Errors) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, Errors{unreadable(shown, err)}
	}
	if !info.Mode().IsRegular() {
		return nil, Errors{{File: shown, Found: "a file of type " + info.Mode().Type().String(), Allowed: "a regular file"}}
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, Errors{unreadable(shown, err)}
	}
	defer file.Close()
	return read(shown, file)
}

func read(name string, from io.Reader) ([]Flow, Errors) {
	data, err := io.ReadAll(io.LimitReader(from, MaxFile+1))
	if err != nil {
		return nil, Errors{unreadable(name, err)}
	}
	return parse(name, data)
}

func isManifest(name string) bool {
	extension := filepath.Ext(name)
	return !strings.HasPrefix(name, ".") && (extension == ".yaml" || extension == ".yml")
}

// unreadable says why a path cannot be read, without repeating the path.
func unreadable(path string, err error) Error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return Error{File: path, Found: fmt.Sprintf("that it cannot be read (%v)", err), Allowed: "a readable file or folder, or - for standard input"}
}
