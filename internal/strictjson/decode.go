// Package strictjson decodes JSON that comes from outside, so that what was sent means one thing only.
//
// encoding/json forgives: of two equal keys the last one wins, "Group" fills the field "group", null leaves a text as
// it was, broken UTF-8 turns into U+FFFD. Two readers of one message can then understand two things. Here all of
// that is an error, and an error says where it is, what was found, and what would have been accepted. Whatever can be
// told apart is reported at once; only broken syntax ends the reading at its first fault.
//
// What always holds: if Decode gives nil, every key of the document was used once and exactly as spelled, and nothing
// followed the document. The content of json.RawMessage, interfaces and types that decode themselves is checked for
// doubled keys and broken text, at any depth, and otherwise left to them.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and lists may be nested.
const MaxDepth = 100

// Problem is one thing wrong with a document.
type Problem struct {
	Field   string `json:"field"`   // path of the value, such as "steps[2].name"; empty for the whole document
	Offset  int64  `json:"offset"`  // bytes before the place where it was noticed
	Found   string `json:"found"`   // what was there; keys are quoted and cut, values are named by their kind only
	Allowed string `json:"allowed"` // what would have been accepted
}

func (p Problem) Error() string {
	place := fmt.Sprintf("at byte %d", p.Offset)
	if p.Field != "" {
		place = p.Field + " " + place
	}
	return fmt.Sprintf("%s: found %s, allowed is %s", place, p.Found, p.Allowed)
}

// Error lists everything that is wrong with a document, in the order of the document. It is never empty.
type Error []Problem

func (e Error) Error() string {
	lines := make([]string, len(e))
	for i, problem := range e {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Decode reads the one JSON value in data into v, which is a pointer as for json.Unmarshal. What is wrong with the
// document is given as an Error; v may then be half filled and is not to be used.
func Decode(data []byte, v any) error {
	if err := checkText(data); err != nil {
		return err
	}
	if err := checkKeys(data, v); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return translate(err)
	}
	return nil
}

// checkText refuses what is no JSON text, or not only one.
func checkText(data []byte) error {
	const allowed = "one JSON value in UTF-8"
	if at := invalidUTF8(data); at >= 0 {
		return Error{{Offset: int64(at), Found: "bytes that are not UTF-8", Allowed: allowed}}
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return Error{{Found: "nothing", Allowed: allowed}}
	}
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return Error{{Offset: syntax.Offset, Found: syntax.Error(), Allowed: allowed}}
	}
	if err != nil {
		return Error{{Found: err.Error(), Allowed: allowed}}
	}
	if at := loneSurrogate(data); at >= 0 {
		return Error{{Offset: int64(at), Found: "half of a surrogate pair", Allowed: `\u escapes that make whole characters`}}
	}
	return nil
}

// invalidUTF8 gives the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// translate turns what json.Unmarshal itself noticed, such as a number that does not fit, into an Error.
func translate(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return Error{{Field: wrong.Field, Offset: wrong.Offset, Found: "a " + wrong.Value, Allowed: wrong.Type.String()}}
	}
	return Error{{Found: err.Error(), Allowed: "a value that its field can take"}}
}
