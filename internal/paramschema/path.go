package paramschema

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var plainName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$-]*$`)

// member is the path of a property; one whose name would not read as one is quoted.
func member(path, name string) string {
	if plainName.MatchString(name) {
		return path + "." + cut(name)
	}
	return path + "[" + quote(name) + "]"
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// find follows a location, and gives its path and the value there, nil where there is none.
func find(document any, location []string) (path string, value any) {
	path, value = root, document
	for _, token := range location {
		switch inside := value.(type) {
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(inside) {
				return path, nil
			}
			path, value = element(path, i), inside[i]
		case map[string]any:
			path, value = member(path, token), inside[token]
		default:
			return member(path, token), nil
		}
	}
	return path, value
}

// describe says what a value is, in one readable line.
func describe(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(value)
	case string:
		return quote(value)
	case json.Number:
		return cut(value.String())
	case []any:
		return fmt.Sprintf("a list of %d", len(value))
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%T", value)
}

// literal writes a value as JSON.
func literal(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return describe(value)
	}
	return cut(string(data))
}

func quote(text string) string { return strconv.Quote(cut(text)) }

// cut bounds what is told back of what came from outside.
func cut(text string) string {
	const longest = 80
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "") + "…"
}
