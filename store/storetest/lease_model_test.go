package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// history writes steps of one flow one after the other, a millisecond each.
type history struct {
	now time.Time
	ops []porcupine.Operation
}

func (h *history) add(in step, out answer) *history {
	in.flow, in.lease, in.call = "flow", 10*time.Millisecond, h.now
	if in.kind == stepClaim {
		out.began = h.now
	}
	h.now = h.now.Add(time.Millisecond)
	out.returned = h.now
	h.ops = append(h.ops, porcupine.Operation{Input: in, Output: out, Call: in.call.UnixNano(), Return: out.returned.UnixNano() - 1})
	return h
}

func (h *history) claim(token uint64, occurrence string) *history {
	return h.add(step{kind: stepClaim}, answer{token: token, occurrence: occurrence})
}

func (h *history) write(kind string, token uint64, accepted bool) *history {
	return h.add(step{kind: kind, token: token}, answer{accepted: accepted, final: kind == stepComplete})
}

func (h *history) pass(ms int) *history {
	h.now = h.now.Add(time.Duration(ms) * time.Millisecond)
	return h
}

// What a store may never say, beside what it may: a model that let everything through would find nothing.
func TestTheModelOfALeaseTellsRightFromWrong(t *testing.T) {
	t.Parallel()
	const yes, no = true, false
	for _, test := range []struct {
		name    string
		allowed bool
		write   func(h *history)
	}{
		{"one after the other", yes, func(h *history) {
			h.claim(1, "a").write(stepComplete, 1, yes).claim(2, "b").write(stepComplete, 2, yes)
		}},
		{"two holders at a time", no, func(h *history) { h.claim(1, "a").claim(2, "a") }},
		{"two occurrences of a flow at a time", no, func(h *history) { h.claim(1, "a").claim(2, "b") }},
		{"taken over once the lease is over", yes, func(h *history) { h.claim(1, "a").pass(10).claim(2, "a").write(stepComplete, 2, yes) }},
		{"taken over as another occurrence", no, func(h *history) { h.claim(1, "a").pass(10).claim(2, "b") }},
		{"taken over though it was renewed", no, func(h *history) { h.claim(1, "a").pass(5).write(stepRenew, 1, yes).pass(5).claim(2, "a") }},
		{"a token that is given again", no, func(h *history) { h.claim(1, "a").write(stepComplete, 1, yes).claim(1, "b") }},
		{"a token that is lower", no, func(h *history) { h.claim(2, "a").write(stepComplete, 2, yes).claim(1, "b") }},
		{"a stale completion is refused", yes, func(h *history) {
			h.claim(1, "a").pass(10).claim(2, "a").write(stepComplete, 1, no).write(stepComplete, 2, yes)
		}},
		{"a stale completion is accepted", no, func(h *history) { h.claim(1, "a").pass(10).claim(2, "a").write(stepComplete, 1, yes) }},
		{"a stale renewal is accepted", no, func(h *history) { h.claim(1, "a").pass(10).claim(2, "a").write(stepRenew, 1, yes) }},
		{"a stale release is accepted", no, func(h *history) { h.claim(1, "a").pass(10).claim(2, "a").write(stepRelease, 1, yes) }},
		{"a holder is refused", no, func(h *history) { h.claim(1, "a").write(stepRenew, 1, no) }},
		{"a holder is refused after its lease", yes, func(h *history) { h.claim(1, "a").pass(10).write(stepRenew, 1, no) }},
		{"and then accepted", no, func(h *history) { h.claim(1, "a").pass(10).write(stepRenew, 1, no).write(stepComplete, 1, yes) }},
		{"a second completion", no, func(h *history) { h.claim(1, "a").write(stepComplete, 1, yes).write(stepComplete, 1, yes) }},
		{"an occurrence again after its completion", no, func(h *history) {
			h.claim(1, "a").write(stepComplete, 1, yes).claim(2, "b").write(stepComplete, 2, yes).claim(3, "a")
		}},
		{"an occurrence again after it was handed back", yes, func(h *history) { h.claim(1, "a").write(stepRelease, 1, yes).claim(2, "a") }},
		{"given up before the lease is over", no, func(h *history) { h.claim(1, "a").add(step{kind: stepGiveUp}, answer{occurrence: "a"}) }},
		{"given up after it, and run again", no, func(h *history) {
			h.claim(1, "a").pass(10).add(step{kind: stepGiveUp}, answer{occurrence: "a"}).claim(2, "a")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &history{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
			test.write(h)
			complaint := judge(h.ops)
			if test.allowed != (complaint == "") {
				t.Errorf("the judge says %q", complaint)
			}
			if complaint != "" && !strings.Contains(complaint, "none of these can come next:\n  client 0, ") {
				t.Errorf("the complaint shows no step: %s", complaint)
			}
		})
	}
}

// Steps that overlap in time may have happened in any order; those that do not may not.
func TestStepsThatOverlapMayHaveHappenedInAnyOrder(t *testing.T) {
	t.Parallel()
	h := &history{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.claim(1, "a").claim(2, "b").write(stepComplete, 1, true)
	if judge(h.ops) == "" {
		t.Fatal("the second claim came before the completion")
	}
	h.ops[2].Call = h.ops[1].Call // the completion was under way when the second claim was
	if complaint := judge(h.ops); complaint != "" {
		t.Error(complaint)
	}
}
