package trigger

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/systole-run/systole/internal/testenv"
)

func TestABadBeatIsKeptOnceWithItsReasonAndDisturbsNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		group, payload string
		headers        []string
		kind, reason   string
	}{
		"bad JSON":           {"default", `{"note":`, nil, faultBody, "JSON"},
		"doubled keys":       {"default", `{"note":"a","note":"b"}`, nil, faultBody, "note"},
		"another time":       {"default", `{"as_of":"2001-01-01T00:00:00Z"}`, nil, faultBody, "as_of"},
		"a time":             {"default", `{"time":"2001-01-01T00:00:00Z"}`, nil, faultBody, "time"},
		"wrong group":        {"default", `{"group":"other"}`, nil, faultBody, "other"},
		"too long":           {"default", strings.Repeat(" ", MaxBody) + "{}", nil, faultOversized, "4098 bytes"},
		"1 MiB":              {"default", strings.Repeat("x", 1<<20), nil, faultOversized, "1048576 bytes"},
		"a bad group":        {"UPPER", ``, nil, faultSubject, "UPPER"},
		"a group of symbols": {"a$b", ``, nil, faultSubject, "a$b"},
		"with a trace":       {"default", `x`, []string{"traceparent", exampleTrace, "Status", "404"}, faultBody, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc, subjects := natsWithStreams(t)
			var followers []inbox[Beat]
			for range 3 {
				_, beats := follow(t, testenv.Connect(t, nc.ConnectedUrl()), FollowerConfig{Prefix: subjects.Prefix})
				followers = append(followers, beats)
			}
			send(t, nc, subjects.Beat(test.group), test.payload, test.headers...)
			send(t, nc, subjects.Beat("default"), `{"note":"good"}`)
			for _, beats := range followers {
				if beat := beats.next(t); beat.Note != "good" {
					t.Errorf("handed over %+v", beat)
				}
			}
			// A second bad one comes after the first in every follower, so that copies of the first would be there.
			send(t, nc, subjects.Beat("last"), "bad")
			letters := deadLetters(t, nc, subjects, 2)
			if len(letters) != 2 {
				t.Fatalf("%d dead letters", len(letters))
			}
			letter := letters[0]
			if letter.Subject != subjects.Dead("beat") || letter.Header.Get(HeaderKind) != test.kind ||
				!strings.Contains(letter.Header.Get(HeaderReason), test.reason) ||
				letter.Header.Get(HeaderSubject) != subjects.Beat(test.group) {
				t.Errorf("%s with %v", letter.Subject, letter.Header)
			}
			if want := test.payload[:min(len(test.payload), maxDeadPayload)]; string(letter.Data) != want {
				t.Errorf("%d bytes of the payload kept", len(letter.Data))
			}
		})
	}
}

func TestABadBeatIsTakenOutOfTheRegister(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	send(t, nc, subjects.Beat("UPPER"), "")
	send(t, nc, subjects.Beat("oversized"), strings.Repeat("x", 1<<20))
	send(t, nc, subjects.Beat("default"), "")
	// They are read from the register here, not from the tick.
	_, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix})
	if beat := beats.next(t); beat.Group != "default" {
		t.Errorf("%+v", beat)
	}
	deadLetters(t, nc, subjects, 2)
	stream, err := jetStream(t, nc).Stream(t.Context(), subjects.BeatStream())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "only the beat is left", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 1
	})
	// So a worker that starts later does not keep them again.
	_, beats = follow(t, nc, FollowerConfig{Prefix: subjects.Prefix})
	beats.next(t)
	if letters := deadLetters(t, nc, subjects, 2); len(letters) != 2 {
		t.Errorf("%d dead letters", len(letters))
	}
}

func TestAGoodMessageThatTookABadOnesSequenceIsNotRemoved(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	store, err := newStorer(nc, StreamConfig{Prefix: subjects.Prefix}, 0, newPublishMetrics(nil))
	if err != nil {
		t.Fatal(err)
	}
	register := &beatRegister{store: store, subjects: subjects}
	mustPublish(t, publisher(t, nc, subjects.Prefix), Beat{Group: "default"}) // stored, not only sent
	if err := register.drop(t.Context(), stored{seq: 1, at: time.Now().Add(-time.Hour)}); err != nil {
		t.Error(err)
	}
	if _, seq, err := register.next(t.Context(), 1); seq != 1 || err != nil {
		t.Errorf("sequence %d, %v", seq, err)
	}
}

// Whoever may publish to the tick subject could otherwise make beats that no other follower knows.
func TestAForgedTickIsNoBeat(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	follower, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix})
	send(t, nc, subjects.Tick("default"), "")
	send(t, nc, subjects.Tick("default"), "1", headerSequence, "7")
	send(t, nc, subjects.Tick("default"), "2", headerSequence, "7", headerStored, "now", headerStream, subjects.BeatStream(), headerOrigin, subjects.Beat("default"))
	send(t, nc, subjects.Tick("a.b"), "3", headerSequence, "7")
	for _, letter := range deadLetters(t, nc, subjects, 3) {
		if letter.Header.Get(HeaderKind) != faultUnstored {
			t.Errorf("%v", letter.Header)
		}
	}
	if counted := testutil.ToFloat64(follower.morgue.metrics.messages.WithLabelValues("beat", faultUnstored)); counted != 4 {
		t.Errorf("%v counted", counted)
	}
	beats.empty(t)
}

// JetStream appends its headers to those of the sender, who may have written the same names.
func TestForgedHeadersOfABeatDoNotReplaceTheServersOwn(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	_, beats := follow(t, nc, FollowerConfig{Prefix: subjects.Prefix})
	send(t, nc, subjects.Beat("default"), "", headerSequence, "99", headerStored, "2001-01-01T00:00:00Z",
		headerStream, "OTHER", headerOrigin, "other", "Nats-Msg-Id", "not an id")
	beat := beats.next(t)
	if beat.Seq != 1 || beat.StoredAt.Year() == 2001 || beat.ID != assignedID(1, beat.StoredAt) {
		t.Errorf("%+v", beat)
	}
}

func TestUnreadableHeadersDoNotStopTheRegisterFromBeingRead(t *testing.T) {
	t.Parallel()
	url, prefix := testenv.NATSURL(t)
	nc := testenv.Connect(t, url)
	ensured(t, nc, StreamConfig{Prefix: prefix})
	subjects := Subjects{Prefix: prefix}
	rawPublish(t, url, subjects.Beat("broken"), "NATS/1.0\r\nno colon here\r\n\r\n", "")
	send(t, nc, subjects.Beat("default"), "")
	_, beats := follow(t, nc, FollowerConfig{Prefix: prefix})
	if beat := beats.next(t); beat.Group != "default" {
		t.Errorf("%+v", beat)
	}
	if letter := deadLetters(t, nc, subjects, 1)[0]; letter.Header.Get(HeaderKind) != faultHeader {
		t.Errorf("%v", letter.Header)
	}
}

func TestBadMessagesAreAllCountedAndLoggedOncePerKind(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	var log syncBuffer
	registry := prometheus.NewRegistry()
	follower, _ := follow(t, nc, FollowerConfig{
		Prefix: subjects.Prefix, Registerer: registry, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 20 {
		send(t, nc, subjects.Beat("default"), "bad")
		send(t, nc, subjects.Beat("UPPER"), "")
	}
	count := func(kind string) float64 {
		return testutil.ToFloat64(follower.morgue.metrics.messages.WithLabelValues("beat", kind))
	}
	until(t, "all are counted", func() bool { return count(faultBody) == 20 && count(faultSubject) == 20 })
	for _, kind := range []string{faultBody, faultSubject} {
		if lines := strings.Count(log.String(), "kind="+kind); lines != 1 {
			t.Errorf("%d lines about %s:\n%s", lines, kind, log.String())
		}
	}
}

func TestAFloodOfBadMessagesDoesNotGrowAQueue(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	store, err := newStorer(nc, StreamConfig{Prefix: prefix}, 0, newPublishMetrics(nil))
	if err != nil {
		t.Fatal(err)
	}
	keeper := newMorgue("beat", store, newBadMetrics(nil), orDiscard(nil))
	for seq := range uint64(deadQueue + 10) { // nobody takes them
		keeper.put(letter{stored{seq: seq}, fault{faultBody, errors.New("bad")}})
	}
	if lost := testutil.ToFloat64(keeper.metrics.lost); lost != 10 {
		t.Errorf("%v lost", lost)
	}
}

func TestTheReasonOfADeadLetterFitsAHeader(t *testing.T) {
	t.Parallel()
	msg := letter{
		stored{subject: "systole.beat." + strings.Repeat("é", 2000)},
		fault{faultBody, errors.New("first\r\nSystole-Kind: forged\n" + strings.Repeat("x", 2000))},
	}.message("systole.dead.beat")
	for name, values := range msg.Header {
		if len(values) != 1 || len(values[0]) > maxReason || strings.ContainsAny(values[0], "\r\n") {
			t.Errorf("%s: %q", name, values)
		}
	}
}

func FuzzTickHeaders(f *testing.F) {
	f.Add("systole.tick.default", "SYSTOLE_BEATS", "systole.beat.default", "1", "2026-01-01T00:00:00Z", "id", exampleTrace, []byte("{}"))
	f.Add("systole.tick.a.b", "", "", "-1", "never", "a b", "00-", []byte("\xff"))
	f.Fuzz(func(t *testing.T, subject, stream, origin, seq, at, id, trace string, data []byte) {
		var subjects Subjects
		header := nats.Header{
			headerStream: {"forged", stream}, headerOrigin: {origin}, headerSequence: {"9", seq}, headerStored: {at},
			headerMessageID: {id}, headerTrace: {trace},
		}
		m, ok := subjects.fromTick(&nats.Msg{Subject: subject, Header: header, Data: data})
		if !ok {
			return
		}
		if m.seq == 0 || stream != subjects.BeatStream() || m.subject != origin {
			t.Fatalf("took %+v", m)
		}
		beat, bad := subjects.beatOf(m, nil)
		if bad != nil {
			reason := letter{m, *bad}.message("systole.dead.beat").Header.Get(HeaderReason)
			if reason == "" || strings.ContainsAny(reason, "\r\n") {
				t.Fatalf("reason %q", reason)
			}
			return
		}
		if err := beat.Validate(); err != nil || !ValidID(beat.ID) || beat.Seq == 0 {
			t.Fatalf("handed over %+v: %v", beat, err)
		}
	})
}

// syncBuffer is written by the follower's goroutines and read by the test.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
