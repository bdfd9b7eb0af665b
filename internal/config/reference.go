package config

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret is how many bytes a secret may have.
const maxSecret = 64 << 10

const referenceAllowed = "env:NAME or file:/path"

// unusable says why a reference cannot be used. It never holds what was read.
type unusable struct{ found, allowed string }

func (u *unusable) Error() string { return fmt.Sprintf("found %s, allowed is %s", u.found, u.allowed) }

// isReference reports whether a text names a place instead of being the secret.
func isReference(text string) bool {
	return strings.HasPrefix(text, "env:") || strings.HasPrefix(text, "file:")
}

// lookUp reads the secret that a reference names, less one newline at its end.
func lookUp(reference string, getenv func(string) (string, bool)) (string, *unusable) {
	if name, ok := strings.CutPrefix(reference, "env:"); ok {
		return fromVariable(name, getenv)
	}
	return fromFile(strings.TrimPrefix(reference, "file:"))
}

func fromVariable(name string, getenv func(string) (string, bool)) (string, *unusable) {
	text, set := getenv(name)
	text = trimNewline(text)
	switch {
	case !set:
		return "", &unusable{"env:" + name + ", which is not set", "a variable that holds the secret"}
	case text == "":
		return "", &unusable{"env:" + name + ", which is empty", "a variable that holds the secret"}
	}
	return text, nil
}

func fromFile(path string) (string, *unusable) {
	problem := func(why string) (string, *unusable) {
		return "", &unusable{"file:" + path + ", which " + why, "a file that holds the secret and nothing else, of up to 64 KiB"}
	}
	// A pipe or a device could hold up the start for ever, so it is not even opened.
	info, err := os.Stat(path)
	if err != nil {
		return problem("cannot be read (" + reason(err) + ")")
	}
	if !info.Mode().IsRegular() {
		return problem("is not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return problem("cannot be read (" + reason(err) + ")")
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return problem("cannot be read (" + reason(err) + ")")
	}
	text := trimNewline(string(data))
	switch {
	case len(data) > maxSecret:
		return problem("is longer than that")
	case text == "":
		return problem("is empty")
	}
	return text, nil
}

func trimNewline(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

// reason gives the innermost text of a file error, without the path that stands beside it already.
func reason(err error) string {
	if inner, ok := err.(interface{ Unwrap() error }); ok && inner.Unwrap() != nil {
		return reason(inner.Unwrap())
	}
	return err.Error()
}
