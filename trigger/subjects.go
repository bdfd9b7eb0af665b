package trigger

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultPrefix is the first token of every subject where none is configured.
const DefaultPrefix = "systole"

// DefaultGroup is the group of a beat that names none.
const DefaultGroup = "default"

var (
	namePattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	prefixPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}(\.[a-z0-9][a-z0-9_-]{0,62}){0,3}$`)
)

const (
	nameAllowed   = "1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"
	prefixAllowed = "1 to 4 tokens joined by dots, each " + nameAllowed
)

// ValidName reports whether s may name a group or a flow: it must fit into one token of a subject.
func ValidName(s string) bool { return namePattern.MatchString(s) }

// Subjects makes the subjects and stream names of one deployment. The zero value is that of DefaultPrefix.
// It checks no names: what comes from outside has been through ValidName before it gets here.
type Subjects struct{ Prefix string }

// Beat is where heartbeats of a group come in.
func (s Subjects) Beat(group string) string { return s.join("beat", group) }

// Tick is where the stored beats of a group are republished.
func (s Subjects) Tick(group string) string { return s.join("tick", group) }

// Run is where a request to run a flow now comes in.
func (s Subjects) Run(group, flow string) string { return s.join("run", group, flow) }

// runs matches every Run.
func (s Subjects) runs() string { return s.join("run", ">") }

// Event is where an event of one kind, such as EventBeatSettled, is published.
func (s Subjects) Event(group, kind string) string { return s.join("event", group, kind) }

// events matches every Event.
func (s Subjects) events() string { return s.join("event", ">") }

// Dead is where bad messages are kept; kind is "beat" or "run".
func (s Subjects) Dead(kind string) string { return s.join("dead", kind) }

// Cancel is where workers are told that a run of the group is to be cancelled.
func (s Subjects) Cancel(group string) string { return s.join("cancel", group) }

// Wake is where workers are told that the group may have something to claim.
func (s Subjects) Wake(group string) string { return s.join("wake", group) }

// Callback is where what a receiver reports of a run is handed to the worker that holds it.
func (s Subjects) Callback(group, runID string) string { return s.join("callback", group, runID) }

// BeatStream names the stream that keeps the newest beat of each group.
func (s Subjects) BeatStream() string { return s.stream("BEATS") }

// RunStream names the work queue of run-now requests.
func (s Subjects) RunStream() string { return s.stream("RUNS") }

// EventStream names the stream that keeps the last events for a while.
func (s Subjects) EventStream() string { return s.stream("EVENTS") }

// DeadStream names the stream of bad messages.
func (s Subjects) DeadStream() string { return s.stream("DEAD") }

func (s Subjects) prefix() string {
	if s.Prefix == "" {
		return DefaultPrefix
	}
	return s.Prefix
}

func (s Subjects) join(tokens ...string) string { return s.prefix() + "." + strings.Join(tokens, ".") }

func (s Subjects) stream(name string) string {
	return strings.ToUpper(strings.ReplaceAll(s.prefix(), ".", "_")) + "_" + name
}

func (s Subjects) validate() error {
	if !prefixPattern.MatchString(s.prefix()) {
		return fmt.Errorf("prefix: found %q, allowed is %s", s.Prefix, prefixAllowed)
	}
	return nil
}

// tokens gives the tokens that follow the prefix and kind in subject; none if it is not such a subject.
func (s Subjects) tokens(kind, subject string) []string {
	rest, ok := strings.CutPrefix(subject, s.join(kind)+".")
	if !ok {
		return nil
	}
	return strings.Split(rest, ".")
}
