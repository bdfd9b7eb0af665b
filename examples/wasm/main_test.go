package main

import (
	"bytes"
	"strings"
	"testing"
)

// R4.1
func TestHelloGreetsAndCounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ params, cursor, want string }{
		{"", "", `{"message":"hello world, time 1","cursor":"1"}`},
		{`{"name":"Ada"}`, "41", `{"message":"hello Ada, time 42","cursor":"42"}`},
	} {
		var out bytes.Buffer
		if err := hello(strings.NewReader(test.params), &out, test.cursor); err != nil || strings.TrimSpace(out.String()) != test.want {
			t.Errorf("%s after %q: got %s and %v", test.params, test.cursor, out.String(), err)
		}
	}
	for _, test := range []struct{ params, cursor string }{{"{", ""}, {"", "x"}} {
		if err := hello(strings.NewReader(test.params), &bytes.Buffer{}, test.cursor); err == nil {
			t.Errorf("%q after %q is taken", test.params, test.cursor)
		}
	}
}
