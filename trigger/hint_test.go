package trigger

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/systole-run/systole/internal/testenv"
)

type cancelHint struct{ group, runID string }

func TestAHintToCancelReachesTheFollowersOfItsGroup(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	hints := newInbox[cancelHint]()
	take := func(group, runID string) { hints.arrived <- cancelHint{group, runID} }
	follower, _ := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix, Groups: []string{"ours"}, OnCancel: take})
	events := eventsOn(t, testenv.Connect(t, nc.ConnectedUrl()), subjects.Prefix)
	send(t, nc, subjects.Cancel("ours"), "")
	send(t, nc, subjects.Cancel("ours"), "two words")
	send(t, nc, subjects.Cancel("ours"), strings.Repeat("x", MaxRunID+1))
	send(t, nc, subjects.Cancel("UPPER"), "orders~1")
	send(t, nc, subjects.Cancel("theirs"), "not ours to judge")
	for _, hint := range []cancelHint{{"theirs", "orders~1"}, {"ours", "orders~1795388654370168-5"}, {"ours", strings.Repeat("x", MaxRunID)}} {
		if err := events.Cancel(hint.group, hint.runID); err != nil {
			t.Fatal(err)
		}
	}
	if hint := hints.next(t); hint != (cancelHint{"ours", "orders~1795388654370168-5"}) {
		t.Errorf("%+v", hint)
	}
	if hint := hints.next(t); hint != (cancelHint{"ours", strings.Repeat("x", MaxRunID)}) {
		t.Errorf("%+v", hint)
	}
	hints.empty(t)
	for kind, want := range map[string]float64{faultBody: 2, faultOversized: 1, faultSubject: 1} {
		if got := testutil.ToFloat64(follower.hints.metrics.messages.WithLabelValues("cancel", kind)); got != want {
			t.Errorf("%v bad hints of kind %s, want %v", got, kind, want)
		}
	}
}

func TestAFollowerWithoutAnEarForHintsToCancelIgnoresThem(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	_, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix})
	if err := eventsOn(t, nc, subjects.Prefix).Cancel("default", "orders~1"); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, publisher(t, nc, subjects.Prefix), Beat{Group: "default"})
	beats.next(t)
}

func TestAHintToCancelNamesOneRunOfOneGroup(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	events := eventsOn(t, nc, prefix)
	for name, bad := range map[string]struct{ group, runID, field string }{
		"a wildcard":       {">", "orders~1", "group"},
		"no run":           {"default", "", "run_id"},
		"a run of a line":  {"default", "orders~1\n", "run_id"},
		"an endless run":   {"default", strings.Repeat("x", MaxRunID+1), "run_id"},
		"neither of both":  {"", "", "run_id"},
		"nor a group then": {"", "", "group"},
	} {
		err := events.Cancel(bad.group, bad.runID)
		var invalid InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), bad.field+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	nc.Close()
	if err := events.Cancel("default", "orders~1"); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}
