package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// R1.1 R1.2 R6.6
func TestBadMessagesAreKeptAmongTheDeadAndDisturbNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ payload, kind, reason string }{
		"no JSON":     {`{"note": "begun`, "body", ""},
		"too long":    {`{"note": "` + strings.Repeat("x", trigger.MaxBody) + `"}`, "oversized", "4096 bytes"},
		"own clock":   {`{"as_of": "2099-01-01T00:00:00Z"}`, "body", "as_of"},
		"other group": {`{"group": "elsewhere"}`, "body", "elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			s.workers(2, 2) // both see the message; one copy is kept
			s.put("orders", 3, "true")

			s.publish(test.payload)
			dead := s.awaitDead()
			if dead.Header.Get(trigger.HeaderKind) != test.kind || !strings.Contains(dead.Header.Get(trigger.HeaderReason), test.reason) ||
				string(dead.Data) != test.payload || dead.Header.Get(trigger.HeaderSubject) != "systole.beat.default" {
				t.Errorf("kept: %v %.100q", dead.Header, dead.Data)
			}
			if beats, runs := s.beats(), s.runs(store.RunFilter{}); len(beats) != 0 || len(runs) != 0 {
				t.Errorf("the bad message led to %+v and %+v", beats, runs)
			}
			s.publish("")
			s.settled(1)
			s.checkOnce("orders", 3)
		})
	}
}

// A heartbeat carries no time of its own: neither what it says nor headers like those of JetStream count.
//
// R3.2
func TestBeatThatClaimsAnotherTimeChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.workers(1, 2)
	s.put("orders", 1, "true")
	s.publish("")
	s.settled(1) // from now on, orders-0 is due in an hour

	began := s.now()
	later := began.Add(10 * 365 * 24 * time.Hour).Format(time.RFC3339Nano)
	s.publishMsg(&nats.Msg{
		Subject: "systole.beat.default",
		Data:    []byte(`{"source": "elsewhere", "note": "as_of ` + later + `"}`),
		Header:  nats.Header{"Nats-Time-Stamp": {later}, "Nats-Sequence": {"99"}, "Date": {later}},
	})
	beat := s.settled(2)[1]
	if beat.AsOf.Before(began.Add(-time.Second)) || beat.AsOf.After(s.now().Add(time.Second)) {
		t.Errorf("sent at %s, as of %s", began, beat.AsOf)
	}
	if beat.Source != "elsewhere" || beat.FlowsDue != 0 || len(s.runs(store.RunFilter{})) != 1 {
		t.Errorf("led to %+v and %+v", beat, s.runs(store.RunFilter{}))
	}
}

// awaitDead waits for the one message that is kept on systole.dead.beat.
func (s *stand) awaitDead() *jetstream.RawStreamMsg {
	s.t.Helper()
	js, err := jetstream.New(s.operator(), jetstream.WithDefaultTimeout(patience))
	if err != nil {
		s.t.Fatal(err)
	}
	stream, err := js.Stream(s.t.Context(), "SYSTOLE_DEAD")
	if err != nil {
		s.t.Fatal(err)
	}
	var dead *jetstream.RawStreamMsg
	pollUntil(s.t, "the message is kept on systole.dead.beat", func() bool {
		dead, err = stream.GetLastMsgForSubject(s.t.Context(), "systole.dead.beat")
		return err == nil
	})
	if info, err := stream.Info(s.t.Context()); err != nil || info.State.Msgs != 1 {
		s.t.Errorf("kept %+v, %v", info, err)
	}
	return dead
}
