package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Bounds of a secret in bytes. A shorter one could not be kept out of texts without blanking out ordinary words.
const (
	MinBytes = 4
	MaxBytes = 64 << 10
)

// What a place may hold instead of a secret. Each reads on after the name of the place and "which".
var (
	ErrEmpty      = errors.New("is empty")
	ErrTooLong    = fmt.Errorf("is longer than %d KiB", MaxBytes>>10)
	ErrNotRegular = errors.New("is not a regular file")
)

// unreadableError says why a file cannot be read, without the path that stands beside it.
type unreadableError struct{ err error }

func (e unreadableError) Error() string { return "cannot be read (" + innermost(e.err).Error() + ")" }
func (e unreadableError) Unwrap() error { return e.err }

func innermost(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// openFlags make the opening of a pipe or a terminal return at once.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK | syscall.O_NOCTTY

// ReadFile reads the secret in a file, less one newline at its end.
func ReadFile(path string) (string, error) {
	return read(os.OpenFile(path, openFlags, 0))
}

// ReadIn reads the secret in a file of a folder. Symbolic links are followed within the folder, as mounted secrets have
// them, and not out of it.
func ReadIn(folder, name string) (string, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", unreadableError{err}
	}
	defer root.Close()
	return read(root.OpenFile(name, openFlags, 0))
}

func read(file *os.File, err error) (string, error) {
	if err != nil {
		return "", unreadableError{err}
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", unreadableError{err}
	}
	if !info.Mode().IsRegular() {
		return "", ErrNotRegular
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return "", unreadableError{err}
	}
	return Trim(string(data))
}

// Trim takes one newline off the end, as editors and echo add it, and refuses what cannot be a secret then.
func Trim(text string) (string, error) {
	if len(text) > MaxBytes {
		return "", ErrTooLong
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if text == "" {
		return "", ErrEmpty
	}
	return text, nil
}
