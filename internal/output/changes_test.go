package output_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

func TestATableOfManyChangesLeavesOutWhatIsUnchangedAndJSONDoesNot(t *testing.T) {
	t.Parallel()
	applied := output.Applied{Source: "flows", Results: []store.FlowChange{{Group: "g", Name: "gone", Result: store.FlowDeleted}}}
	for n := range 1000 {
		applied.Results = append(applied.Results, store.FlowChange{Group: "g", Name: fmt.Sprint("f", n), Result: store.FlowUnchanged})
	}
	var table, text bytes.Buffer
	if err := output.New(&table, output.Table).Changes(applied); err != nil {
		t.Fatal(err)
	}
	const want = `NAME   GROUP   RESULT    FIELD   FROM   TO
gone   g       deleted   -       -      -
0 created, 0 changed, 1000 unchanged, 0 orphaned, 1 deleted
`
	if table.String() != want {
		t.Errorf("got\n%s", table.String())
	}
	if err := output.New(&text, output.JSON).Changes(applied); err != nil {
		t.Fatal(err)
	}
	var back output.Applied
	if err := json.Unmarshal(text.Bytes(), &back); err != nil || len(back.Results) != 1001 || back.Summary != (output.Summary{Unchanged: 1000, Deleted: 1}) || back.Source != "flows" {
		t.Errorf("got %+v, %v", back.Summary, err)
	}
	applied.Results = applied.Results[1:]
	table.Reset()
	if err := output.New(&table, output.Table).Changes(applied); err != nil || table.String() != "0 created, 0 changed, 1000 unchanged, 0 orphaned\n" {
		t.Errorf("got %q, %v", table.String(), err)
	}
}

func TestProgressIsOneLineOfATerminalAndNothingElsewhere(t *testing.T) {
	var text bytes.Buffer
	progress := output.NewProgress(&text, "Applying", 10)
	progress.Done(5)
	progress.Clear()
	if text.Len() != 0 {
		t.Errorf("wrote %q", text.String())
	}
	t.Setenv("TERM", "xterm")
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	progress = output.NewProgress(null, "Applying", 10)
	progress.Redirect(&text)
	for done := range 12 {
		progress.Done(done)
	}
	progress.Clear()
	lines := strings.Split(text.String(), "\r")
	if len(lines) != 14 || lines[6] != "Applying [###############...............] 5 of 10" || lines[11] != "Applying [##############################] 10 of 10" || strings.TrimSpace(lines[12]) != "" {
		t.Errorf("got %d lines: %q", len(lines), lines)
	}
}
