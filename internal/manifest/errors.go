package manifest

import (
	"fmt"
	"strings"
)

// Error is one thing wrong at one place.
type Error struct {
	File    string
	Line    int    // from 1; 0 where the file as a whole is at fault
	Column  int    // from 1, in characters
	Field   string // path such as "exec.command[1]"; empty where the document as a whole is at fault
	Found   string
	Allowed string
}

func (e Error) Error() string {
	var text strings.Builder
	text.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&text, ":%d:%d", e.Line, e.Column)
	}
	if e.Field != "" {
		text.WriteString(": " + e.Field)
	}
	text.WriteString(": found " + e.Found)
	if e.Allowed != "" {
		text.WriteString(", allowed is " + e.Allowed)
	}
	return text.String()
}

// Errors is everything that is wrong with the files that were read, in the order of files and lines.
type Errors []Error

// Error gives one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// quote shows a value as it was found, cut to a readable length.
func quote(value string) string {
	const longest = 80
	if runes := []rune(value); len(runes) > longest {
		value = string(runes[:longest]) + "…"
	}
	return fmt.Sprintf("%q", value)
}
