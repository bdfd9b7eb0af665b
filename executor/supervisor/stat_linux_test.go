package supervisor

import (
	"fmt"
	"os"
	"testing"
)

// A process chooses its name, and so a part of what is read of it.
func FuzzStatOfAProcessWithAnyName(f *testing.F) {
	for _, name := range []string{"sh", "a b", ") Z 1 (", "", "\n", "))) R 7 7"} {
		f.Add(name)
	}
	rest := ""
	for field := 5; field <= 52; field++ {
		rest += fmt.Sprint(" ", field)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, ok := parseStat(42, fmt.Appendf(nil, "42 (%s) S 41%s\n", name, rest))
		want := stat{pid: 42, parent: 41, state: 'S', cpu: (14 + 15 + 16 + 17) * tick, start: 22, threads: 20, resident: 24 * int64(os.Getpagesize())}
		if !ok || got != want {
			t.Errorf("got %+v, %t", got, ok)
		}
	})
}

func TestStatThatIsCutIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "42 (sh) S 41", "42 (sh", "42 (sh) "} {
		if got, ok := parseStat(42, []byte(text)); ok {
			t.Errorf("%q: got %+v", text, got)
		}
	}
	if own, ok := readStat(os.Getpid()); !ok || own.parent != os.Getppid() || own.threads < 1 || own.resident < 1 {
		t.Errorf("of this process: %+v, %t", own, ok)
	}
}
