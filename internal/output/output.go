// Package output shows lists of flows, runs, heartbeats and groups to people and to other programs.
//
// It owns three formats: table for eyes, json and yaml for programs, which hold the same as the admin API gives. What
// always holds: columns keep their order, times are UTC unless their column is LOCAL, and colours appear only on a terminal; nothing that came
// from outside reaches a terminal as a control sequence.
package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/goccy/go-yaml"
)

// Format is how a list is shown.
type Format string

// The formats. Table is the default.
const (
	Table Format = "table"
	JSON  Format = "json"
	YAML  Format = "yaml"
)

// ParseFormat reads the value of -o; empty is Table.
func ParseFormat(text string) (Format, error) {
	switch format := Format(text); format {
	case "":
		return Table, nil
	case Table, JSON, YAML:
		return format, nil
	}
	return "", fmt.Errorf("output: found %q, allowed is table, json or yaml", text)
}

// Printer writes to one place in one format. Its zero value is not usable; make one with New.
type Printer struct {
	w      io.Writer
	format Format
	colour bool
}

// New makes a Printer. Tables are coloured if w is a terminal that takes colours and the environment does not say
// otherwise (NO_COLOR, TERM=dumb).
func New(w io.Writer, format Format) *Printer {
	return &Printer{w: w, format: format, colour: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// isTerminal reports whether w is a character device: what a terminal is, and a pipe or file is not.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// print writes value in a format for programs, or rows as a table.
func (p *Printer) print(value any, head []string, rows [][]cell) error {
	if p.format == Table {
		return p.table(head, rows)
	}
	return p.Value(value)
}

// Value writes anything for programs: as YAML, or else as JSON.
func (p *Printer) Value(value any) error {
	text, err := encode(value)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	// YAML comes by way of JSON: keys, their order and the form of times and durations are then the same in both. What
	// holds control characters stays JSON, which every YAML reader takes: there they are escaped for sure.
	if p.format == YAML && !escaped.Match(text) {
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("encode output: %w", err)
		}
	}
	_, err = p.w.Write(text)
	return err
}

// escaped finds the escapes of control characters other than line ends and tabs.
var escaped = regexp.MustCompile(`\\(u00[0189]|u007f|b|f|r)`)

// encode gives indented JSON with every control character escaped; encoding/json leaves DEL and C1 as they are, which
// some terminals obey.
func encode(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	var safe bytes.Buffer
	for _, r := range text.String() {
		if r >= 0x7f && r <= 0x9f {
			fmt.Fprintf(&safe, `\u%04x`, r)
			continue
		}
		safe.WriteRune(r)
	}
	return safe.Bytes(), nil
}
