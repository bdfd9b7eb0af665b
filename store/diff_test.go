package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/systole-run/systole/store"
)

func TestDiffNamesFieldsByPathAndHidesWhatMayBeSecret(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ from, to, want string }{
		"nothing":                {`{"a":{"b":1},"c":[1,2]}`, `{"c":[1,2],"a":{"b":1}}`, ``},
		"nested":                 {`{"retry":{"attempts":3}}`, `{"retry":{"attempts":5,"factor":2}}`, `retry.attempts 3 5, retry.factor  2`},
		"gone as a whole":        {`{"retry":{"attempts":3}}`, `{}`, `retry.attempts 3 `},
		"a list of plain values": {`{"exec":{"command":["a"]}}`, `{"exec":{"command":["a","b"]}}`, `exec.command ["a"] ["a","b"]`},
		"a list of objects":      {`{"t":[{"jq":"x"},{"jq":"y"}]}`, `{"t":[{"jq":"x"},{"jq":"z"}]}`, `t[1].jq "y" "z"`},
		"secrets": {
			`{"exec":{"env":{"A":"s1","B":"s2","C":"s3"}}}`, `{"exec":{"env":{"A":"s1","B":"s4","D":"s5"}}}`,
			`exec.env.B "(changed)" "(changed)", exec.env.C "(changed)" , exec.env.D  "(changed)"`,
		},
		"secrets of another kind": {`{"http":{"headers":{"X":"s1"}}}`, `{"p":[{"headers":{"X":["s2"]}}],"env":"s3"}`, `env  "(changed)", http.headers.X "(changed)" , p[0].headers.X  "(changed)"`},
		"of another sort":         {`{"p":{"a":1}}`, `{"p":"x"}`, `p  "x", p.a 1 `},
	} {
		changes, err := store.Diff([]byte(test.from), []byte(test.to))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var said []string
		for _, c := range changes {
			said = append(said, fmt.Sprintf("%s %s %s", c.Field, string(c.From), string(c.To)))
		}
		if got := strings.Join(said, ", "); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}
