package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Duration is a time.Duration that reads and writes as text such as "90s", "5m" or "1h30m", in JSON and in YAML.
// Its zero value means "not set".
type Duration time.Duration

// String gives the shortest form that ParseDuration reads back: "5m", not "5m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; its error says what was found and what is allowed.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("found %q, allowed is a duration such as 90s, 5m or 1h30m", text)
	}
	*d = Duration(parsed)
	return nil
}

// UnmarshalJSON accepts only a string, so that a bare number never passes as nanoseconds, and none of 0: a field that has
// none is left out, and one that was written as 0 would get its default instead.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("found %s, allowed is a duration in quotes such as \"5m\"", data)
	}
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return err
	}
	if *d == 0 {
		return fmt.Errorf("found %s, allowed is a duration above 0 such as \"5m\", or leaving it out", data)
	}
	return nil
}
