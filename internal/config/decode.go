package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/systole-run/systole/internal/bytesize"
)

// decode turns what a layer holds for a setting into the setting's type: text, numbers and booleans from YAML, lists
// and mappings from YAML or JSON, plain text from the environment. Where it cannot, it says what it found and what is
// allowed; found never holds the content of a secret.
func decode(target any, raw any) *unusable {
	switch t := target.(type) {
	case *string:
		return decodeScalar(t, raw, "text; numbers, true and false stand in quotes", asText)
	case *Level:
		return decodeScalar(t, raw, levelAllowed, func(raw any) (Level, bool) { text, ok := asText(raw); return Level(text), ok })
	case *bool:
		return decodeScalar(t, raw, "true or false", asBool)
	case *int:
		return decodeScalar(t, raw, "a whole number", asInt)
	case *float64:
		return decodeScalar(t, raw, "a number", asFloat)
	case *time.Duration:
		return decodeScalar(t, raw, "a duration such as 90s, 5m or 1h30m", asDuration)
	case *time.Time:
		return decodeScalar(t, raw, "a time such as 2030-01-31T00:00:00Z", asTime)
	case *Size:
		return decodeScalar(t, raw, sizeAllowed, asSize)
	case *[]string:
		return decodeStrings(t, raw)
	case *[]netip.Prefix:
		return decodePrefixes(t, raw)
	case *Secret:
		return decodeSecret(t, raw)
	case *URLs:
		return decodeURLs(t, raw)
	}
	return &unusable{fmt.Sprintf("a %T", raw), fmt.Sprintf("nothing that is decoded into %T", target)}
}

func decodeScalar[T any](target *T, raw any, allowed string, as func(any) (T, bool)) *unusable {
	value, ok := as(raw)
	if !ok {
		return &unusable{show(raw), allowed}
	}
	*target = value
	return nil
}

func asText(raw any) (string, bool) {
	text, ok := raw.(string)
	return text, ok
}

func asBool(raw any) (bool, bool) {
	if text, ok := raw.(string); ok {
		return text == "true", text == "true" || text == "false"
	}
	value, ok := raw.(bool)
	return value, ok
}

func asInt(raw any) (int, bool) {
	switch n := raw.(type) {
	case int64:
		return int(n), int64(int(n)) == n
	case uint64:
		return int(n), n <= math.MaxInt
	case string:
		value, err := strconv.Atoi(n)
		return value, err == nil
	}
	return 0, false
}

func asFloat(raw any) (float64, bool) {
	if n, ok := raw.(float64); ok {
		return n, isFinite(n)
	}
	if text, ok := raw.(string); ok {
		value, err := strconv.ParseFloat(text, 64)
		return value, err == nil && isFinite(value)
	}
	n, ok := asInt(raw)
	return float64(n), ok
}

func isFinite(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }

// asDuration takes text only, so that a bare number never passes as nanoseconds.
func asDuration(raw any) (time.Duration, bool) {
	text, _ := raw.(string)
	value, err := time.ParseDuration(text)
	return value, err == nil
}

// asTime takes text; YAML's own times are text here, too.
func asTime(raw any) (time.Time, bool) {
	text, _ := raw.(string)
	value, err := time.Parse(time.RFC3339, text)
	return value, err == nil
}

func asSize(raw any) (Size, bool) {
	if text, ok := raw.(string); ok {
		return bytesize.Parse(text)
	}
	n, ok := asInt(raw)
	return Size(n), ok && n >= 0
}

// show says in words what a value is; scalars are quoted.
func show(raw any) string {
	switch v := raw.(type) {
	case string:
		return quote(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	case nil:
		return "nothing"
	}
	return fmt.Sprint(raw)
}

// kind is show for values that may be secret: nothing of them is told.
func kind(raw any) string {
	switch raw.(type) {
	case string:
		return "text"
	case []any, map[string]any, nil:
		return show(raw)
	case bool:
		return "true or false"
	}
	return "a number"
}

// split cuts a comma separated list from the environment or a flag.
func split(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
	}
	return parts
}
