package manifest

import (
	"strings"
)

// source is the text of one document of a file.
type source struct {
	text string
	line int // how many lines of the file stand before it
}

// split cuts a file into documents. A line that starts with --- or ... is a marker wherever it stands, even within
// quotes or a block (YAML 1.2, section 9.1.2, c-forbidden), so that lines are all one has to look at. Documents are
// parsed one by one: a broken one does not hide what is wrong with the next.
func split(text string) []source {
	var sources []source
	var current strings.Builder
	start, empty := 0, true
	flush := func(next int) {
		if !empty {
			sources = append(sources, source{text: current.String(), line: start})
		}
		current.Reset()
		start, empty = next, true
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		switch {
		case isMarker(line, "..."):
			flush(number)
			continue
		case isMarker(line, "---"):
			flush(number - 1)
			empty = blank(line[len("---"):])
		case empty && strings.HasPrefix(line, "%YAML "):
			line = "\n" // a directive says nothing that this package does not know
		default:
			empty = empty && blank(line)
		}
		current.WriteString(line)
	}
	flush(number)
	return sources
}

// isMarker reports whether line is the marker alone, or followed by a space.
func isMarker(line, marker string) bool {
	rest, found := strings.CutPrefix(line, marker)
	return found && (rest == "" || strings.ContainsRune(" \t\n", rune(rest[0])))
}

// blank reports whether line holds nothing but spaces and a comment.
func blank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}
