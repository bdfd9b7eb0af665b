package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/systole-run/systole/store"
)

// MaxFile is how many bytes a file may have.
const MaxFile = 1 << 20

// maxErrors bounds what is reported for one file; beyond it, more lines help nobody.
const maxErrors = 1000

// Flow is a definition and where it was read.
type Flow struct {
	store.DataFlow
	File string
	Line int // where its name stands

	column int
}

// Parse reads the flows of one file; name is what errors call it. The flows have their defaults filled in and are
// valid. Where anything is wrong it returns no flows and Errors with everything that is.
func Parse(name string, data []byte) ([]Flow, error) {
	flows, errs := parse(name, data)
	errs = append(errs, doubled(flows)...)
	if len(errs) > 0 {
		return nil, errs
	}
	return flows, nil
}

// parse reads one file and leaves it to the caller to look for doubled names, which may be spread over files.
func parse(name string, data []byte) ([]Flow, Errors) {
	text, wrong := clean(data)
	if wrong != nil {
		wrong.File = name
		return nil, Errors{*wrong}
	}
	var flows []Flow
	var errs Errors
	budget := maxExpanded
	for _, source := range split(text) {
		flow, found := source.parse(name, &budget)
		errs = append(errs, found...)
		if flow != nil {
			flows = append(flows, *flow)
		}
		if len(errs) >= maxErrors {
			more := Error{File: name, Line: source.line + 1, Column: 1, Found: fmt.Sprintf("more than %d errors; the rest of the file was not read", maxErrors)}
			return flows, append(errs[:maxErrors], more)
		}
	}
	return flows, errs
}

// clean takes away what editors add without meaning it: a byte order mark and foreign line ends.
func clean(data []byte) (string, *Error) {
	if len(data) > MaxFile {
		return "", &Error{Found: "more than 1 MiB", Allowed: "a file of up to 1 MiB; spread the flows over several"}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for offset := 0; offset < len(data); {
		r, size := utf8.DecodeRune(data[offset:])
		if (r == utf8.RuneError && size == 1) || (r < ' ' && r != '\n' && r != '\r' && r != '\t') {
			line := bytes.Count(data[:offset], []byte("\n")) + 1
			column := utf8.RuneCount(data[bytes.LastIndexByte(data[:offset], '\n')+1:offset]) + 1
			return "", &Error{Line: line, Column: column, Found: fmt.Sprintf("the byte 0x%02x", data[offset]), Allowed: "UTF-8 text without control characters"}
		}
		offset += size
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return string(bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))), nil
}

// doubled reports each flow whose group and name another flow already has, with both places named.
func doubled(flows []Flow) Errors {
	type identity struct{ group, name string }
	first := make(map[identity]Flow, len(flows))
	var errs Errors
	for _, flow := range flows {
		id := identity{flow.Group, flow.Name}
		if earlier, taken := first[id]; taken {
			errs = append(errs, Error{
				File: flow.File, Line: flow.Line, Column: flow.column, Field: "name",
				Found:   fmt.Sprintf("%q, which %s:%d:%d already defines in group %q", flow.Name, earlier.File, earlier.Line, earlier.column, flow.Group),
				Allowed: "each name once in a group",
			})
			continue
		}
		first[id] = flow
	}
	return errs
}

// sortByPlace orders the errors of one document as a reader meets them.
func sortByPlace(errs Errors) {
	slices.SortStableFunc(errs, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
