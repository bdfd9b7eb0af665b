package config

import (
	"fmt"
	"strings"

	"github.com/systole-run/systole/internal/secret"
)

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
	if !set {
		return "", &unusable{"env:" + name + ", which is not set", "a variable that holds the secret"}
	}
	text, err := secret.Trim(text)
	if err != nil {
		return "", &unusable{"env:" + name + ", which " + err.Error(), "a variable that holds the secret"}
	}
	return text, nil
}

func fromFile(path string) (string, *unusable) {
	text, err := secret.ReadFile(path)
	if err != nil {
		return "", &unusable{"file:" + path + ", which " + err.Error(), "a file that holds the secret and nothing else, of up to 64 KiB"}
	}
	return text, nil
}

// reason gives the innermost text of a file error, without the path that stands beside it already.
func reason(err error) string {
	if inner, ok := err.(interface{ Unwrap() error }); ok && inner.Unwrap() != nil {
		return reason(inner.Unwrap())
	}
	return err.Error()
}
