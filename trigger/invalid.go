package trigger

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/systole-run/systole/internal/strictjson"
)

// FieldError is one thing wrong with a request or message from outside.
type FieldError struct {
	Field   string `json:"field"`   // its name, such as "group"; empty for the whole
	Found   string `json:"found"`   // what was there, cut to a readable length
	Allowed string `json:"allowed"` // what would have been accepted
}

func (e FieldError) Error() string {
	text := "found " + e.Found + ", allowed is " + e.Allowed
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	return text
}

// InvalidError lists everything that is wrong with a request or message.
type InvalidError []FieldError

func (e InvalidError) Error() string {
	lines := make([]string, len(e))
	for i, field := range e {
		lines[i] = field.Error()
	}
	return strings.Join(lines, "; ")
}

// longestFound bounds how much of what came from outside is told back.
const longestFound = 80

// quote gives a readable, single-line form of what came from outside.
func quote(found string) string {
	if len(found) > longestFound {
		return fmt.Sprintf("%q (%d bytes)", found[:longestFound]+"…", len(found))
	}
	return fmt.Sprintf("%q", found)
}

func (e *InvalidError) add(field, found, allowed string) {
	*e = append(*e, FieldError{Field: field, Found: found, Allowed: allowed})
}

// orNil gives nil where nothing was found wrong, so that callers can compare with nil.
func (e InvalidError) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// fromJSON gives what is wrong with a JSON document as an InvalidError.
func fromJSON(err error) error {
	var invalid InvalidError
	invalid.merge("", err)
	return invalid
}

// merge adds what is wrong with a JSON document that stands in field, empty for the whole.
func (e *InvalidError) merge(field string, err error) {
	var problems strictjson.Error
	if !errors.As(err, &problems) {
		e.add(field, err.Error(), "one JSON object")
	}
	for _, problem := range problems {
		path := strings.Trim(field+"."+problem.Field, ".")
		e.add(path, fmt.Sprintf("%s at byte %d", problem.Found, problem.Offset), problem.Allowed)
	}
}

// checkText refuses what is too long, no text, or would break a line of a log.
func (e *InvalidError) checkText(field, text string, longest int) {
	if len(text) > longest {
		e.add(field, fmt.Sprintf("%d bytes", len(text)), fmt.Sprintf("up to %d bytes", longest))
	}
	for at, r := range text {
		if unicode.IsControl(r) || (r == utf8.RuneError && !utf8.ValidString(text)) {
			e.add(field, fmt.Sprintf("%q at byte %d", r, at), "text without control characters")
			return
		}
	}
}
