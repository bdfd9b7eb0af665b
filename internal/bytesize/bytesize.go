// Package bytesize reads and writes numbers of bytes as people write them: 4096, 64KiB, 16MiB, 1GiB.
package bytesize

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. In JSON it is text in its shortest form; a whole number is read, too.
type Size int64

// Allowed says in words what Parse reads.
const Allowed = "a number of bytes, such as 4096, 64KiB or 16MiB"

// units are tried from the largest, so that String gives the shortest form.
func units() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}
}

// String gives the shortest form that is read back as the same.
func (s Size) String() string {
	for _, unit := range units() {
		if s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Parse reads a size that is not negative, and reports whether text is one.
func Parse(text string) (Size, bool) {
	factor := int64(1)
	for _, unit := range units() {
		if number, found := strings.CutSuffix(text, unit.name); found {
			text, factor = strings.TrimSpace(number), unit.bytes
			break
		}
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || number > math.MaxInt64/factor {
		return 0, false
	}
	return Size(number * factor), true
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; its error says what was found and what is allowed.
func (s *Size) UnmarshalText(text []byte) error {
	size, ok := Parse(string(text))
	if !ok {
		return fmt.Errorf("found %q, allowed is %s", text, Allowed)
	}
	*s = size
	return nil
}

// UnmarshalJSON reads text or a whole number.
func (s *Size) UnmarshalJSON(data []byte) error {
	text := string(data)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	return s.UnmarshalText([]byte(text))
}
