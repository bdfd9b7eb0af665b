package store

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A flow names a secret by a reference and never by its value, so that no secret is in a definition:
//
//	env:NAME       a variable of the worker's environment, but none of Systole's own
//	file:/path     a file on the worker
//	secret:NAME    a file in the worker's folder of secrets
//
// What a reference stands for is looked up by the worker, for each run, and only where its operator allows that.

// IsSecretRef reports whether a setting of a flow is a reference to a secret, be it a good one or not.
func IsSecretRef(setting string) bool {
	kind, _, found := strings.Cut(setting, ":")
	return found && (kind == "env" || kind == "file" || kind == "secret")
}

const secretRefAllowed = "env:NAME, file:/path or secret:NAME"

// secretNamePattern keeps hidden names out, and with them those that lead out of the folder.
var secretNamePattern = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)

// validSecretRef holds a reference against its form. A path is clean, so that it has one spelling, by which it is allowed.
func validSecretRef(reference string) bool {
	kind, name, _ := strings.Cut(reference, ":")
	switch kind {
	case "env":
		return envPattern.MatchString(name) && !strings.HasPrefix(name, "SYSTOLE_") // settings are no flow's business
	case "file":
		return path.IsAbs(name) && path.Clean(name) == name && !strings.ContainsFunc(name, isControl)
	case "secret":
		return len(name) <= 253 && secretNamePattern.MatchString(name)
	}
	return false
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// SecretRefs gives the references to secrets in the definition, by the field that each stands in.
func (f DataFlow) SecretRefs() map[string]string {
	found := map[string]string{}
	note := func(field, setting string) {
		if IsSecretRef(setting) {
			found[field] = setting
		}
	}
	if f.Exec != nil {
		for name, value := range f.Exec.Env {
			note("exec.env."+name, value)
		}
	}
	if f.HTTP != nil {
		f.HTTP.secretRefs(note)
	}
	if f.WASM != nil {
		for name, value := range f.WASM.Env {
			note("wasm.env."+name, value)
		}
	}
	return found
}

// validateSetting refuses control characters and references to secrets that are none. The value may be a secret all the
// same, so it is not told.
func validateSetting(invalid *InvalidError, field, value string) {
	switch {
	case strings.ContainsFunc(value, func(r rune) bool { return isControl(r) && r != '\t' }):
		invalid.add(field, "a value with control characters", "text without control characters")
	case IsSecretRef(value) && !validSecretRef(value):
		invalid.add(field, "a reference that can be to no secret", secretRefAllowed)
	}
}

// validateReference refuses what is no reference to a secret. It may be the secret itself, so it is not told.
func validateReference(invalid *InvalidError, field, value string) {
	if !IsSecretRef(value) || !validSecretRef(value) {
		invalid.add(field, "what is no reference to a secret", secretRefAllowed)
	}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
