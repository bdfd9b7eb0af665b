package config

import (
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. It is written as a number, or with a unit as in 64KiB or 16MiB.
type Size int64

const sizeAllowed = "a number of bytes, such as 4096, 64KiB or 16MiB"

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String gives the shortest form that is read back as the same.
func (s Size) String() string {
	for _, unit := range sizeUnits {
		if s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func parseSize(text string) (Size, bool) {
	factor := int64(1)
	for _, unit := range sizeUnits {
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
