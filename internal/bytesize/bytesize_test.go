package bytesize_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/systole-run/systole/internal/bytesize"
)

func TestSizesAreReadAndWrittenInTheirShortestForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bytesize.Size{
		`"4096"`: 4096, `4096`: 4096, `"64KiB"`: 64 << 10, `"16 MiB"`: 16 << 20, `"2GiB"`: 2 << 30, `0`: 0, `1000`: 1000,
	} {
		var got, again bytesize.Size
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
		written, err := json.Marshal(got)
		if err != nil || json.Unmarshal(written, &again) != nil || again != want {
			t.Errorf("%s: written as %s, %v", text, written, err)
		}
	}
	if got := bytesize.Size(1 << 30).String(); got != "1GiB" {
		t.Errorf("got %s", got)
	}
}

func TestWhatIsNoSizeIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`"-1"`, `-1`, `1.5`, `"1.5KiB"`, `"1TB"`, `""`, `"99999999999GiB"`, `true`, `null`, `{}`} {
		var got bytesize.Size
		if err := got.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s: got %d", text, got)
		}
	}
	if _, ok := bytesize.Parse("9223372036854775807"); !ok {
		t.Errorf("%d is a size", math.MaxInt64)
	}
}
