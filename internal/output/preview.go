package output

import (
	"fmt"
	"time"

	"github.com/systole-run/systole/store"
)

// Preview shows what a schedule comes to: as tables, the next slots, then what each heartbeat would do if there are any,
// then the warnings, a line each.
func (p *Printer) Preview(preview store.Preview) error {
	if p.format != Table {
		return p.Value(preview)
	}
	if preview.Overdue != nil {
		if _, err := fmt.Fprintf(p.w, "overdue since %s\n\n", when(preview.Overdue).text); err != nil {
			return err
		}
	}
	if err := p.table([]string{"SLOT", "LOCAL", "AFTER"}, slotRows(preview)); err != nil {
		return err
	}
	if preview.BeatsEvery != 0 {
		if _, err := fmt.Fprintln(p.w); err != nil {
			return err
		}
		if err := p.table([]string{"HEARTBEAT", "RUNS SLOT", "LATE", "COALESCED", "MISSED"}, beatRows(preview)); err != nil {
			return err
		}
	}
	for _, warning := range preview.Warnings {
		if _, err := fmt.Fprintf(p.w, "\n%s %s\n", p.paint(cell{"warning:", yellow}), warning); err != nil {
			return err
		}
	}
	return nil
}

// slotRows has the time since the slot before in its last column.
func slotRows(preview store.Preview) [][]cell {
	rows := make([][]cell, len(preview.Slots))
	for i, slot := range preview.Slots {
		rows[i] = []cell{when(&slot.Slot), word(slot.Local), {}}
		if i > 0 {
			rows[i][2] = span(slot.Slot.Sub(preview.Slots[i-1].Slot))
		}
	}
	return rows
}

func beatRows(preview store.Preview) [][]cell {
	rows := make([][]cell, len(preview.Beats))
	for i, beat := range preview.Beats {
		rows[i] = []cell{when(&beat.At), when(beat.Slot), {}, count(beat.CoalescedCount), alarm(beat.MissedCount)}
		if beat.Slot != nil {
			rows[i][2] = span(max(0, beat.At.Sub(*beat.Slot)))
		}
	}
	return rows
}

func span(d time.Duration) cell { return word(store.Duration(d).String()) }
