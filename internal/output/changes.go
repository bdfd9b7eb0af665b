package output

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/systole-run/systole/store"
)

// fewChanges is how many flows a table of changes shows though they are unchanged.
const fewChanges = 20

// Applied is what became of definitions that were applied, or would.
type Applied struct {
	Source  string             `json:"source,omitempty"`
	DryRun  bool               `json:"dry_run,omitempty"`
	Results []store.FlowChange `json:"results"`
	Summary Summary            `json:"summary"`
}

// Summary counts flows by what became of them.
type Summary struct {
	Created   int `json:"created"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
	Orphaned  int `json:"orphaned"`
	Deleted   int `json:"deleted"`
}

// String tells of deleted flows only where there are any.
func (s Summary) String() string {
	text := fmt.Sprintf("%d created, %d changed, %d unchanged, %d orphaned", s.Created, s.Changed, s.Unchanged, s.Orphaned)
	if s.Deleted > 0 {
		text += fmt.Sprintf(", %d deleted", s.Deleted)
	}
	return text
}

// Summarize counts changes.
func Summarize(changes []store.FlowChange) Summary {
	var s Summary
	counters := map[store.Change]*int{
		store.FlowCreated: &s.Created, store.FlowChanged: &s.Changed, store.FlowUnchanged: &s.Unchanged,
		store.FlowOrphaned: &s.Orphaned, store.FlowDeleted: &s.Deleted,
	}
	for _, change := range changes {
		if counter := counters[change.Result]; counter != nil {
			*counter++
		}
	}
	return s
}

// Changes shows what became of definitions; its Summary is counted here. For programs it is everything. A table has a row
// for each field that changed, leaves out what is unchanged unless that is little, and ends with the summary.
func (p *Printer) Changes(applied Applied) error {
	applied.Results = list(applied.Results)
	applied.Summary = Summarize(applied.Results)
	if p.format != Table {
		return p.Value(applied)
	}
	var rows [][]cell
	for _, change := range applied.Results {
		if change.Result != store.FlowUnchanged || len(applied.Results) <= fewChanges {
			rows = append(rows, changeRows(change)...)
		}
	}
	if len(rows) > 0 {
		if err := p.table([]string{"NAME", "GROUP", "RESULT", "FIELD", "FROM", "TO"}, rows); err != nil {
			return err
		}
	}
	said := applied.Summary.String()
	if applied.DryRun {
		said += " (dry run: nothing was written)"
	}
	_, err := fmt.Fprintln(p.w, said)
	return err
}

func changeRows(change store.FlowChange) [][]cell {
	colours := map[store.Change]string{
		store.FlowCreated: green, store.FlowChanged: yellow, store.FlowOrphaned: cyan, store.FlowDeleted: red,
	}
	result := cell{string(change.Result), colours[change.Result]}
	if len(change.Changes) == 0 {
		return [][]cell{{word(change.Name), word(change.Group), result, {}, {}, {}}}
	}
	rows := make([][]cell, len(change.Changes))
	for i, field := range change.Changes {
		rows[i] = []cell{word(change.Name), word(change.Group), result, word(field.Field), value(field.From), value(field.To)}
	}
	return rows
}

// value shows text without its quotes, and everything else as JSON.
func value(text json.RawMessage) cell {
	var plain string
	if json.Unmarshal(text, &plain) == nil && strings.TrimSpace(plain) != "" {
		return word(plain)
	}
	return word(string(text))
}
