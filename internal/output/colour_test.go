package output

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/systole-run/systole/store"
)

func TestColouredColumnsMeetAsPlainOnesDo(t *testing.T) {
	t.Parallel()
	runs := []store.Run{{ID: "a~1", Status: store.StatusSuccess}, {ID: "longer~2", Status: store.StatusFailed}, {ID: "b~3", Status: store.StatusPending}}
	var plainText, coloured bytes.Buffer
	for _, p := range []*Printer{{w: &plainText, format: Table}, {w: &coloured, format: Table, colour: true}} {
		if err := p.Runs(runs); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(coloured.String(), "\x1b[32msuccess\x1b[0m") || !strings.Contains(coloured.String(), "\x1b[31mfailed\x1b[0m") {
		t.Errorf("got %q", coloured.String())
	}
	if got := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(coloured.String(), ""); got != plainText.String() {
		t.Errorf("got\n%s\nwant\n%s", got, plainText.String())
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	t.Parallel()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	if isTerminal(file) || isTerminal(writer) || isTerminal(&bytes.Buffer{}) {
		t.Error("a file, a pipe or a buffer is taken for a terminal")
	}
}
