package output

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/systole-run/systole/store"
)

// Flow shows one flow: for programs as the admin API gives it, for eyes with the last of its slots, the newest first.
// Where those could not be read, unread says why, and is shown in their place.
func (p *Printer) Flow(flow store.FlowView, slots []store.SlotRange, unread error) error {
	if p.format != Table {
		return p.Value(flow)
	}
	facts := []fact{
		{"NAME", word(flow.Name)},
		{"GROUP", word(flow.Group)},
		{"DESCRIPTION", word(flow.Description)},
		{"KIND", word(flow.Kind())},
		{"SCHEDULE", word(schedule(flow.DataFlow))},
		{"TIMEOUT", word(flow.Timeout.String())},
		{"OVERLAP", word(string(flow.Overlap))},
	}
	if key := flow.Concurrency; key != nil {
		facts = append(facts, fact{"CONCURRENCY", word(fmt.Sprintf("%s, at most %d", key.Key, key.Max))})
	}
	facts = append(facts, fact{"STATE", standing(flow)})
	if flow.Paused {
		facts = append(facts, fact{"PAUSED", when(flow.PausedAt)}, fact{"REASON", word(flow.PausedReason)})
	}
	facts = append(
		facts,
		fact{"NEXT SLOT", when(flow.NextSlot)},
		fact{"RUNNING", word(running(flow))},
		fact{"LAST RUN", word(flow.LastRunID)},
		fact{"LAST", status(flow.LastStatus)},
		fact{"LAST END", when(flow.LastEndedAt)},
		fact{"FAILURES", alarm(flow.Failures)},
		fact{"SLOTS", word(tally(slots, unread))},
	)
	if err := p.facts(facts); err != nil || len(slots) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(p.w); err != nil {
		return err
	}
	return p.Slots(slots)
}

// running names the run under way, or the newest of several.
func running(flow store.FlowView) string {
	if flow.Running > 1 {
		return fmt.Sprintf("%s and %d more", flow.RunningID, flow.Running-1)
	}
	return flow.RunningID
}

// tally counts slots by what became of them.
func tally(slots []store.SlotRange, unread error) string {
	if unread != nil {
		return "not read: " + unread.Error()
	}
	counts := make(map[string]int)
	var outcomes []string // in the order in which they are listed
	for _, slot := range slots {
		if !slices.Contains(outcomes, slot.Outcome) {
			outcomes = append(outcomes, slot.Outcome)
		}
		counts[slot.Outcome] += slot.Count
	}
	parts := make([]string, len(outcomes))
	for i, outcome := range outcomes {
		parts[i] = fmt.Sprint(counts[outcome], " ", outcome)
	}
	return strings.Join(parts, ", ")
}

// Slots shows what became of slots; a nil list is an empty one.
func (p *Printer) Slots(slots []store.SlotRange) error {
	rows := make([][]cell, len(slots))
	for i, slot := range slots {
		rows[i] = []cell{when(&slot.From), when(&slot.To), count(slot.Count), outcome(slot.Outcome), word(slot.Reason), word(slot.RunID), word(slot.Detail)}
	}
	head := []string{"FROM", "TO", "COUNT", "OUTCOME", "REASON", "RUN", "WHY"}
	return p.print(slotList{list(slots)}, head, rows)
}

// Slot shows what became of one slot, and for eyes all of the sentence that says why.
func (p *Printer) Slot(slot store.SlotRange) error {
	if p.format != Table {
		return p.Value(slotList{[]store.SlotRange{slot}})
	}
	return p.facts([]fact{
		{"FROM", when(&slot.From)},
		{"TO", when(&slot.To)},
		{"COUNT", count(slot.Count)},
		{"OUTCOME", outcome(slot.Outcome)},
		{"REASON", word(slot.Reason)},
		{"RUN", word(slot.RunID)},
		{"WHY", word(slot.Detail)},
	})
}

type slotList struct {
	Slots []store.SlotRange `json:"slots"`
}

func outcome(text string) cell {
	colours := map[string]string{"ran": green, "running": cyan, "missed": red, "skipped": yellow}
	return cell{text, colours[text]}
}

// fact is one line about a thing that is shown alone.
type fact struct {
	name  string
	value cell
}

// facts writes one to a line, none of them shortened.
func (p *Printer) facts(facts []fact) error {
	w := tabwriter.NewWriter(p.w, 0, 0, 3, ' ', 0)
	for _, f := range facts {
		fmt.Fprintln(w, f.name+"\t"+p.colourOf(f.value, tame(f.value.text)))
	}
	return w.Flush() // tabwriter keeps the first error of its writer
}
