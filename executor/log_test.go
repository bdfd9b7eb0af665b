package executor_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/systole-run/systole/executor"
)

func TestTailKeepsTheEndOfTheOutputAndMarksTheCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		limit  int
		writes []string
		want   string
	}{
		{"nothing written", 10, nil, ""},
		{"all fits", 10, []string{"one\n", "two\n"}, "one\ntwo\n"},
		{"exactly full", 8, []string{"one\n", "two\n"}, "one\ntwo\n"},
		{"cut at a line", 10, []string{"one\n", "two\n", "three\n"}, "… 4 bytes cut …\ntwo\nthree\n"},
		{"cut inside a line drops the rest of it", 9, []string{"one\n", "two\n", "three\n"}, "… 8 bytes cut …\nthree\n"},
		{"one write above the limit", 4, []string{"abcdefgh"}, "… 4 bytes cut …\nefgh"},
		{"a rune is not halved", 4, []string{"aé€z"}, "… 3 bytes cut …\n€z"},
		{"a long line is kept although one ends late", 10, []string{"0123456789abcd\nx"}, "… 6 bytes cut …\n6789abcd\nx"},
		{"wraps many times", 6, []string{"1\n2\n3\n", "4\n5\n", "6\n7\n8\n", "9\n"}, "… 12 bytes cut …\n7\n8\n9\n"},
		{"invalid bytes are replaced one by one", 20, []string{"a\xff\xfeb\x00é"}, "a??b\x00é"},
		{"an unfinished rune at the end", 20, []string{"a\xe2\x82"}, "a??"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tail := executor.NewTail(c.limit)
			for _, text := range c.writes {
				if n, err := tail.Write([]byte(text)); n != len(text) || err != nil {
					t.Fatalf("Write(%q) = %d, %v", text, n, err)
				}
			}
			if got := string(tail.Snapshot()); got != c.want {
				t.Errorf("Snapshot = %q, want %q", got, c.want)
			}
		})
	}
}

func TestTailHasANewVersionAfterEachWrite(t *testing.T) {
	t.Parallel()
	tail := executor.NewTail(4)
	before := tail.Version()
	fmt.Fprint(tail, "longer than the limit")
	if tail.Version() == before {
		t.Error("version did not change with a write")
	}
	before = tail.Version()
	tail.Snapshot()
	if tail.Version() != before {
		t.Error("version changed without a write")
	}
}

func TestTailKeepsLinesWholeUnderConcurrentWriters(t *testing.T) {
	t.Parallel()
	tail := executor.NewTail(1 << 10)
	line := strings.Repeat("x", 30) + "\n"
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 500 {
				fmt.Fprint(tail, line)
				tail.Snapshot()
			}
		})
	}
	writers.Wait()
	if got, want := tail.Version(), uint64(8*500*len(line)); got != want {
		t.Errorf("version = %d, want %d", got, want)
	}
	_, kept, _ := strings.Cut(string(tail.Snapshot()), "\n")
	if kept == "" || strings.ReplaceAll(kept, line, "") != "" {
		t.Errorf("kept something else than whole lines: %q", kept)
	}
}

func FuzzTailSnapshotIsBoundedTextThatEndsAsTheOutputDid(f *testing.F) {
	f.Add([]byte("a\nb\xff"), []byte("é€"), 4)
	f.Add([]byte("0123456789"), []byte("\n\n"), 5)
	f.Fuzz(func(t *testing.T, first, second []byte, limit int) {
		limit = 1 + (limit&0xff+256)%256
		tail := executor.NewTail(limit)
		_, _ = tail.Write(first)
		_, _ = tail.Write(second)
		all := append(bytes.Clone(first), second...)
		got := tail.Snapshot()
		if !utf8.Valid(got) {
			t.Errorf("invalid UTF-8: %q", got)
		}
		kept := got
		if len(all) > limit {
			_, kept, _ = bytes.Cut(got, []byte("\n"))
			if want := fmt.Sprintf("… %d bytes cut …\n", len(all)-len(kept)); !strings.HasPrefix(string(got), want) {
				t.Errorf("got %q, want it to start with %q", got, want)
			}
		}
		if len(kept) > limit {
			t.Errorf("kept %d bytes, limit %d", len(kept), limit)
		}
		if utf8.Valid(all) && !bytes.HasSuffix(all, kept) {
			t.Errorf("kept %q, which is not the end of %q", kept, all)
		}
	})
}
