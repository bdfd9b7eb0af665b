package store

import (
	"fmt"
	"strings"
)

// FieldError is one thing wrong with one field of a definition or request.
type FieldError struct {
	Field   string `json:"field"`   // path of the field, such as "retry.attempts"; empty for the whole document
	Found   string `json:"found"`   // what was there, as written, cut to a readable length
	Allowed string `json:"allowed"` // what would have been accepted, best with an example
}

func (e FieldError) Error() string {
	return fmt.Sprintf("%s: found %s, allowed is %s", e.Field, e.Found, e.Allowed)
}

// InvalidError lists everything that is wrong with a document, all at once.
type InvalidError []FieldError

func (e InvalidError) Error() string {
	lines := make([]string, len(e))
	for i, field := range e {
		lines[i] = field.Error()
	}
	return strings.Join(lines, "\n")
}

// add notes one wrong field.
func (e *InvalidError) add(field, found, allowed string) {
	*e = append(*e, FieldError{Field: field, Found: quoted(found), Allowed: allowed})
}

// quoted is how a found value is told: quoted and cut to a readable length, since it comes from outside.
func quoted(found string) string {
	const longest = 80
	if len(found) > longest {
		found = strings.ToValidUTF8(found[:longest], "") + "…"
	}
	return fmt.Sprintf("%q", found)
}

// orNil gives nil where nothing was found wrong, so that callers can compare with nil.
func (e InvalidError) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
