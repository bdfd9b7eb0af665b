package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FieldChange is one field in which two definitions differ.
type FieldChange struct {
	// Field is its path, such as "retry.attempts" or "exec.command"; "source" is where the flow was applied from.
	Field string `json:"field"`
	// From and To are its values as JSON; one of them is absent where only the other has the field. Values below env and
	// headers may be secrets: in their place stands "(changed)".
	From json.RawMessage `json:"from,omitempty"`
	To   json.RawMessage `json:"to,omitempty"`
}

// hidden stands in place of a value that may be a secret.
var hidden = json.RawMessage(`"(changed)"`)

// diff compares two JSON objects, field by field. Lists of plain values are one field; other lists go element by element.
func diff(from, to []byte) ([]FieldChange, error) {
	before, after := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := flatten("", from, before); err != nil {
		return nil, err
	}
	if err := flatten("", to, after); err != nil {
		return nil, err
	}
	fields := maps.Clone(before)
	maps.Copy(fields, after)
	var changes []FieldChange
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		old, was := before[field]
		now, is := after[field]
		if was == is && bytes.Equal(old, now) {
			continue
		}
		change := FieldChange{Field: field, From: old, To: now}
		if secret(field) {
			if was {
				change.From = hidden
			}
			if is {
				change.To = hidden
			}
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// flatten puts the values of a JSON text under their paths.
func flatten(path string, text json.RawMessage, into map[string]json.RawMessage) error {
	text = bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil {
			return err
		}
		for name, member := range members {
			if err := flatten(strings.TrimPrefix(path+"."+name, "."), member, into); err != nil {
				return err
			}
		}
		return nil
	case bytes.HasPrefix(text, []byte("[")):
		var elements []json.RawMessage
		if err := json.Unmarshal(text, &elements); err != nil {
			return err
		}
		if slices.ContainsFunc(elements, nested) {
			for i, element := range elements {
				if err := flatten(fmt.Sprintf("%s[%d]", path, i), element, into); err != nil {
					return err
				}
			}
			return nil
		}
	}
	into[path] = text
	return nil
}

func nested(text json.RawMessage) bool {
	return bytes.HasPrefix(text, []byte("{")) || bytes.HasPrefix(text, []byte("["))
}

// secret reports whether a field is one of env or headers, or within.
func secret(field string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' }), func(part string) bool {
		return part == "env" || part == "headers"
	})
}

// sourceChange says that a flow moved from one source, or none, to another.
func sourceChange(from, to string) FieldChange {
	quoted := func(source string) json.RawMessage {
		if source == "" {
			return nil
		}
		text, _ := json.Marshal(source) // text always can
		return text
	}
	return FieldChange{Field: "source", From: quoted(from), To: quoted(to)}
}
