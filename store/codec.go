package store

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// runRecord is how a run is kept: times in ms since 1970. The head `{"status":"…"` is rewritten by scripts, so Status
// comes first.
type runRecord struct {
	Status     Status          `json:"status"`
	Reason     string          `json:"reason,omitempty"`
	Error      string          `json:"error,omitempty"`
	Message    string          `json:"message,omitempty"`
	Occurrence string          `json:"occurrence"`
	Attempt    int             `json:"attempt,omitempty"`
	Token      string          `json:"token,omitempty"`
	Worker     string          `json:"worker,omitempty"`
	Created    int64           `json:"created,omitempty"`
	Start      int64           `json:"start,omitempty"`
	End        int64           `json:"end,omitempty"`
	Slot       int64           `json:"slot,omitempty"`
	Beat       string          `json:"beat,omitempty"`
	Recovered  bool            `json:"recovered,omitempty"`
	Due        int64           `json:"due,omitempty"`
	WaitsFor   string          `json:"waits_for,omitempty"`
	Params     json.RawMessage `json:"params,omitempty"`
	Process    *RunProcess     `json:"process,omitempty"`
}

func decodeRun(group, id, packed string) (Run, error) {
	var r runRecord
	if err := json.Unmarshal([]byte(packed), &r); err != nil {
		return Run{}, fmt.Errorf("decode run %s: %w", id, err)
	}
	run := Run{
		ID: id, Flow: flowOf(id), Group: group, Status: r.Status, Reason: r.Reason, OccurrenceID: r.Occurrence,
		Slot: fromMS(r.Slot), Attempt: r.Attempt, Token: r.Token, Worker: unescapeID(r.Worker), BeatID: unescapeID(r.Beat),
		CreatedAt: fromMS(r.Created), StartedAt: fromMS(r.Start), EndedAt: fromMS(r.End),
		Error: r.Error, Message: r.Message, Recovered: r.Recovered, Params: r.Params, DueAt: fromMS(r.Due),
		WaitsFor: r.WaitsFor, Process: r.Process,
	}
	if r.Start != 0 && r.End != 0 {
		run.DurationMS = r.End - r.Start
	}
	return run, nil
}

// flowOf reads the flow's name from a run id: name~suffix.
func flowOf(runID string) string {
	name, _, _ := strings.Cut(runID, "~")
	return name
}

// flowState is a flow's packed state: rev|slot|overlap|JSON. Scripts read the head, and raise the revision with every write;
// the JSON is made here, from the revision that it replaces.
type flowState struct {
	rev     string
	slot    time.Time // that the flow waits for, or that is being worked on where occurrences must not overlap; zero for none
	overlap Overlap
	past    flowPast
}

// overlapCodes are the overlap policies as the state has them.
var overlapCodes = map[Overlap]string{OverlapForbid: "", OverlapAllow: "a", OverlapReplace: "r"}

func decodeOverlap(code string) Overlap {
	for overlap, known := range overlapCodes {
		if known == code {
			return overlap
		}
	}
	return OverlapForbid
}

// flowPast is what a flow remembers: where it began, its last ended attempt, and whether it is paused.
type flowPast struct {
	Made     int64  `json:"made,omitempty"` // the revision that the flow began with; 0 for one of before that was kept
	Cursor   string `json:"cursor,omitempty"`
	Run      string `json:"run,omitempty"`
	Status   Status `json:"status,omitempty"`
	Slot     int64  `json:"slot,omitempty"`
	End      int64  `json:"end,omitempty"`
	Failures int    `json:"failures,omitempty"` // occurrences that failed for good since the last success

	Ran     int64 `json:"ran,omitempty"` // slots by what became of them
	Missed  int64 `json:"missed,omitempty"`
	Skipped int64 `json:"skipped,omitempty"`

	Paused       int64  `json:"paused,omitempty"` // since when, 0 if it is not; scripts look for this key
	PausedReason string `json:"paused_reason,omitempty"`
	PausedFrom   int64  `json:"paused_from,omitempty"` // the last pause, once it is over
	Resumed      int64  `json:"resumed,omitempty"`
}

// count adds up what the ledger notes.
func (p *flowPast) count(notes []slotNote) {
	for _, note := range notes {
		if note.outcome == SlotSkipped {
			p.Skipped += int64(note.count)
		} else {
			p.Missed += int64(note.count)
		}
	}
}

// pause stops the flow's slots, if nothing has yet.
func (p *flowPast) pause(at time.Time, reason string) {
	if p.Paused == 0 {
		p.Paused, p.PausedReason = at.UnixMilli(), reason
	}
}

func decodeState(packed string) (flowState, error) {
	parts := strings.SplitN(packed, "|", 4)
	if len(parts) != 4 {
		return flowState{}, fmt.Errorf("decode state: %d parts, want 4", len(parts))
	}
	state := flowState{rev: parts[0], overlap: decodeOverlap(parts[2])}
	if parts[1] != "" {
		slot, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			return flowState{}, fmt.Errorf("decode state: %w", err)
		}
		state.slot = time.UnixMilli(slot).UTC()
	}
	if err := json.Unmarshal([]byte(parts[3]), &state.past); err != nil {
		return flowState{}, fmt.Errorf("decode state: %w", err)
	}
	return state, nil
}

// olderThan compares revisions.
func (s flowState) olderThan(other flowState) bool {
	return len(s.rev) < len(other.rev) || len(s.rev) == len(other.rev) && s.rev < other.rev
}

// head is what put_flow compares, to notice that someone else wrote in between.
func (s flowState) head() string {
	return s.rev + "|" + msText(s.slot) + "|" + overlapCodes[s.overlap]
}

// tail is what scripts write behind the revision.
func (s flowState) tail() (string, error) {
	past, err := json.Marshal(s.past)
	return msText(s.slot) + "|" + overlapCodes[s.overlap] + "|" + string(past), err
}

// msText is a time as scripts take it: ms since 1970, or "" for none.
func msText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

func fromMS(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

// Beat ids and names of workers come from outside. Escaped, they fit between the bars of a packed record and into JSON without quoting.
func escapeID(id string) string { return url.QueryEscape(id) }

func unescapeID(escaped string) string {
	id, err := url.QueryUnescape(escaped)
	if err != nil {
		return escaped
	}
	return id
}

// Replies of scripts are nested lists of strings and integers; these read them with an error instead of a panic.

func list(reply any, atLeast int) ([]any, error) {
	items, ok := reply.([]any)
	if !ok || len(items) < atLeast {
		return nil, fmt.Errorf("unexpected reply of a script: %.100v", reply)
	}
	return items, nil
}

func text(item any) string {
	switch value := item.(type) {
	case string:
		return value
	case int64:
		return strconv.FormatInt(value, 10)
	}
	return ""
}

func number(item any) int64 {
	switch value := item.(type) {
	case int64:
		return value
	case string:
		n, _ := strconv.ParseInt(value, 10, 64)
		return n
	}
	return 0
}
