package output

import (
	"time"

	"github.com/systole-run/systole/store"
)

// Flows shows flows and where they stand; a nil list is an empty one.
func (p *Printer) Flows(flows []store.FlowView) error {
	rows := make([][]cell, len(flows))
	for i, flow := range flows {
		due := schedule(flow.DataFlow)
		if flow.Unreadable != "" {
			due = ""
		}
		rows[i] = []cell{
			word(flow.Name), word(flow.Group), word(flow.Kind()), word(due), standing(flow), when(flow.NextSlot),
			status(flow.LastStatus), when(flow.LastEndedAt), alarm(flow.Failures),
		}
	}
	head := []string{"NAME", "GROUP", "KIND", "SCHEDULE", "STATE", "NEXT SLOT", "LAST", "LAST END", "FAILURES"}
	return p.print(struct {
		Flows []store.FlowView `json:"flows"`
	}{list(flows)}, head, rows)
}

// Definition is a flow and the place where it was read.
type Definition struct {
	store.DataFlow
	File string `json:"file"`
	Line int    `json:"line"`
}

// Definitions shows flows as they were read from files; a nil list is an empty one.
func (p *Printer) Definitions(flows []Definition) error {
	rows := make([][]cell, len(flows))
	for i, flow := range flows {
		rows[i] = []cell{word(flow.Name), word(flow.Group), word(flow.Kind()), word(schedule(flow.DataFlow)), word(flow.File), count(flow.Line)}
	}
	return p.print(struct {
		Flows []Definition `json:"flows"`
	}{list(flows)}, []string{"NAME", "GROUP", "KIND", "SCHEDULE", "FILE", "LINE"}, rows)
}

// said is what there is to say of a run, in a sentence.
func said(run store.Run) string {
	switch {
	case run.Error != "":
		return run.Error
	case run.Status != store.StatusPending:
		return run.Message
	case run.DueAt != nil:
		return "waits for a heartbeat from " + when(run.DueAt).text + " on"
	case run.WaitsFor != "":
		return "waits for " + run.WaitsFor
	}
	return ""
}

// Runs shows runs; a nil list is an empty one.
func (p *Printer) Runs(runs []store.Run) error {
	rows := make([][]cell, len(runs))
	for i, run := range runs {
		rows[i] = []cell{
			word(run.ID), word(run.Group), status(run.Status), word(reason(run)), count(run.Attempt), when(run.StartedAt), word(took(run)), word(run.Worker), word(said(run)),
		}
	}
	head := []string{"ID", "GROUP", "STATUS", "REASON", "ATTEMPT", "STARTED", "TOOK", "WORKER", "MESSAGE"}
	return p.print(struct {
		Runs []store.Run `json:"runs"`
	}{list(runs)}, head, rows)
}

// Run shows one run, and for eyes all of what it says.
func (p *Printer) Run(run store.Run) error {
	if p.format != Table {
		return p.Value(run)
	}
	return p.facts([]fact{
		{"ID", word(run.ID)},
		{"FLOW", word(run.Flow)},
		{"GROUP", word(run.Group)},
		{"STATUS", status(run.Status)},
		{"REASON", word(reason(run))},
		{"MESSAGE", word(said(run))},
		{"OCCURRENCE", word(run.OccurrenceID)},
		{"SLOT", when(run.Slot)},
		{"ATTEMPT", count(run.Attempt)},
		{"BEAT", word(run.BeatID)},
		{"WORKER", word(run.Worker)},
		{"PARAMS", word(string(run.Params))},
		{"STARTED", when(run.StartedAt)},
		{"TOOK", word(took(run))},
	})
}

func reason(run store.Run) string {
	if run.CancelRequested && !run.Status.Final() {
		return "cancel_requested"
	}
	return run.Reason
}

// took is how long a run took, or nothing while it goes on.
func took(run store.Run) string {
	if run.EndedAt == nil {
		return ""
	}
	return (time.Duration(run.DurationMS) * time.Millisecond).String()
}

// Beats shows heartbeats; a nil list is an empty one.
func (p *Printer) Beats(beats []store.BeatView) error {
	rows := make([][]cell, len(beats))
	for i, beat := range beats {
		rows[i] = []cell{
			word(beat.ID), word(beat.Group), word(beat.Source), when(&beat.AsOf), lasting(beat.LatenessMS), lasting(beat.GapMS), count(beat.FlowsDue), count(beat.FlowsTriggered),
			count(beat.Running), count(beat.Succeeded), alarm(beat.Failed), when(beat.SettledAt),
		}
	}
	head := []string{"ID", "GROUP", "SOURCE", "AS OF", "LATENESS", "GAP", "DUE", "TRIGGERED", "RUNNING", "SUCCEEDED", "FAILED", "SETTLED"}
	return p.print(struct {
		Beats []store.BeatView `json:"beats"`
	}{list(beats)}, head, rows)
}

// Status shows groups at a glance; a nil list is an empty one.
func (p *Printer) Status(groups []store.GroupStatus) error {
	rows := make([][]cell, len(groups))
	for i, group := range groups {
		rows[i] = []cell{
			word(group.Group), count(group.Flows), count(group.Due), count(group.Queued), count(group.Running), word(group.LastBeatID), when(group.LastBeatAt),
		}
	}
	head := []string{"GROUP", "FLOWS", "DUE", "QUEUED", "RUNNING", "LAST BEAT", "AT"}
	return p.print(struct {
		Groups []store.GroupStatus `json:"groups"`
	}{list(groups)}, head, rows)
}

// lasting is a duration in ms that may be left out.
func lasting(ms *int64) cell {
	if ms == nil {
		return word("")
	}
	return word(store.Duration(time.Duration(*ms) * time.Millisecond).String())
}

func schedule(flow store.DataFlow) string {
	switch {
	case flow.Every != 0:
		return "every " + flow.Every.String()
	case flow.Cron != "":
		return flow.Cron + " " + flow.Timezone
	}
	return "on demand"
}

func standing(flow store.FlowView) cell {
	switch {
	case flow.Unreadable != "":
		return cell{"unreadable", red}
	case flow.RunningID != "" && flow.Paused:
		return cell{"running, then paused", cyan}
	case flow.RunningID != "":
		return cell{"running", cyan}
	case flow.Paused:
		return cell{"paused", yellow}
	case flow.Due:
		return cell{"due", yellow}
	}
	return word("waiting")
}

func status(s store.Status) cell {
	colours := map[store.Status]string{
		store.StatusSuccess: green, store.StatusFailed: red, store.StatusCancelled: yellow, store.StatusInProgress: cyan,
	}
	return cell{string(s), colours[s]}
}

// list makes a nil list an empty one, which JSON shows as [].
func list[T any](entries []T) []T {
	if entries == nil {
		return []T{}
	}
	return entries
}
