package strictjson

import (
	"strconv"
	"unicode/utf16"
)

// loneSurrogate gives the offset of a \u escape that stands for half a character, or -1. The data is valid JSON, so a
// backslash can only stand inside a text and is never its last byte.
func loneSurrogate(data []byte) int {
	for at := 0; at < len(data); at++ {
		if data[at] != '\\' {
			continue
		}
		first, ok := escapedUnit(data[at:])
		if !ok {
			at++ // the escaped character, which may be a backslash too
			continue
		}
		if utf16.IsSurrogate(first) {
			second, _ := escapedUnit(data[at+6:])
			if utf16.DecodeRune(first, second) == '\uFFFD' {
				return at
			}
			at += 6
		}
		at += 5
	}
	return -1
}

// escapedUnit reads the \uXXXX that data starts with.
func escapedUnit(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(unit), err == nil
}
