package config

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// Show writes every setting as YAML that Load can read, each with the source of its value as a comment. Secrets, and
// users and passwords in addresses, are redacted.
func (c Config) Show(w io.Writer) error {
	out := bufio.NewWriter(w)
	var open []string // sections that the last line stands in
	for _, s := range c.settings() {
		path := strings.Split(s.key, ".")
		sections, name := path[:len(path)-1], path[len(path)-1]
		for depth, section := range sections {
			if depth < len(open) && open[depth] == section {
				continue
			}
			open = open[:min(depth, len(open))]
			fmt.Fprintf(out, "%s%s:\n", indent(depth), section)
			open = append(open, section)
		}
		open = open[:len(sections)]
		value := s.value.Interface()
		fmt.Fprintf(out, "%s%s: %s # %s\n", indent(len(sections)), name, text(value), c.Source(s.key).note(value))
	}
	return out.Flush()
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// note is the source as a comment, with the reference that a secret was read from.
func (s Source) note(value any) string {
	reference := ""
	switch v := value.(type) {
	case Secret:
		reference = v.Reference()
	case URLs:
		if v.kept != nil {
			reference = v.kept.reference
		}
	}
	note := s.String()
	if reference != "" {
		note += ", " + reference
	}
	// A path may hold any character; a line break would end the comment.
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(note)
}

// text gives a value as YAML on one line; JSON is YAML, too.
func text(value any) string {
	switch v := value.(type) {
	case time.Duration:
		return shortDuration(v)
	case Size:
		return v.String()
	case []netip.Prefix:
		return list(v)
	case []string:
		return list(v)
	case []Token:
		return list(v)
	case []OIDCSubject:
		return list(v)
	case []CertSubject:
		return list(v)
	case URLs:
		if addresses := v.Redacted(); len(addresses) == 1 {
			return asJSON(addresses[0])
		}
		return list(v.Redacted())
	}
	return asJSON(value)
}

// list gives [] where JSON would say null.
func list[T any](elements []T) string {
	if len(elements) == 0 {
		return "[]"
	}
	return asJSON(elements)
}

func asJSON(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprintf("%q", err.Error())
	}
	return strings.TrimSpace(out.String())
}

// shortDuration gives 5m instead of 5m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
