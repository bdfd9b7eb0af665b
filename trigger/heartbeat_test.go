package trigger

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// ticks watches the stored beats of a site.
func (s *site) ticks(t testing.TB) inbox[stored] {
	t.Helper()
	ticks := newInbox[stored]()
	_, err := s.nc.Subscribe(s.subjects.Tick("*"), func(msg *nats.Msg) {
		if m, ok := s.subjects.fromTick(msg); ok {
			_ = ticks.take(context.Background(), m)
		}
	})
	if err := errors.Join(err, s.nc.Flush()); err != nil {
		t.Fatal(err)
	}
	return ticks
}

// R2.1, R2.2, R6.3, R6.5
func TestHeartbeatIsStoredBeforeGETAndPOSTAreAnswered(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{}))
	ticks := s.ticks(t)
	const body = `{"source":"cron","note":"hourly"}`
	tests := []struct{ method, path, body, group, payload string }{
		{"GET", "/heartbeat", "", "default", ""},
		{"POST", "/heartbeat", "", "default", ""},
		{"GET", "/heartbeat/billing", "", "billing", ""},
		{"POST", "/heartbeat/billing", body, "billing", `{"group":"billing","source":"cron","note":"hourly"}`},
		{"GET", "/heartbeat/billing", body, "billing", `{"group":"billing","source":"cron","note":"hourly"}`},
		{"POST", "/heartbeat", `{"group":"billing"}`, "billing", ""},
		{"POST", "/heartbeat/billing", `{"group":"billing"}`, "billing", ""},
		{"POST", "/heartbeat?", `{}`, "default", ""},
	}
	for _, test := range tests {
		answer := decode[acceptedAnswer](t, s.ask(t, test.method, test.path, test.body), http.StatusAccepted)
		tick := ticks.next(t)
		if answer.Group != test.group || answer.Status != StatusAccepted || answer.Duplicate || answer.BeatID != tick.id() {
			t.Errorf("%s %s: answered %+v, stored %s", test.method, test.path, answer, tick.id())
		}
		if age := time.Since(answer.AcceptedAt); age < 0 || age > time.Minute {
			t.Errorf("accepted_at is %v", answer.AcceptedAt)
		}
		if tick.subject != s.subjects.Beat(test.group) || string(tick.data) != test.payload {
			t.Errorf("%s %s: stored %s with %q", test.method, test.path, tick.subject, tick.data)
		}
	}
}

// R2.3
func TestEveryMethodAndProgramGoesThroughHeartbeatEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{}))
	key := []string{"Idempotency-Key", "one"}
	first := decode[acceptedAnswer](t, s.ask(t, "GET", "/heartbeat", "", key...), 202)
	again := decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", key...), 202)
	outcome, err := s.HeartbeatEvent(t.Context(), Beat{ID: "default:one"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if first.BeatID != "default:one" || first.Duplicate || !again.Duplicate || !outcome.Duplicate || again.BeatID != outcome.BeatID {
		t.Errorf("got %+v, %+v, %+v, want one beat and two repeats of it", first, again, outcome)
	}
	if outcome.Group != DefaultGroup || outcome.Status != StatusAccepted {
		t.Errorf("got %+v", outcome)
	}
	var invalid InvalidError
	if _, err := s.HeartbeatEvent(t.Context(), Beat{Group: "A"}, 0); !errors.As(err, &invalid) {
		t.Errorf("got %v, want an InvalidError", err)
	}
	if _, err := s.HeartbeatEvent(t.Context(), Beat{}, time.Hour); !errors.As(err, &invalid) || invalid[0].Field != "wait" {
		t.Errorf("got %v, want an InvalidError about wait", err)
	}
}

func TestOneIdempotencyKeyInTwoGroupsMakesTwoBeats(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{}))
	key := strings.Repeat("k", maxIdempotencyKey)
	group := strings.Repeat("g", 63)
	for _, path := range []string{"/heartbeat/a", "/heartbeat/b", "/heartbeat/" + group} {
		if answer := decode[acceptedAnswer](t, s.ask(t, "POST", path, "", "Idempotency-Key", key), 202); answer.Duplicate {
			t.Errorf("%s: got %+v", path, answer)
		}
	}
}

// settle plays the workers: every stored beat settles at once, after another one whose event nobody waits for.
func (s *site) settle(t testing.TB) {
	t.Helper()
	_, err := s.nc.Subscribe(s.subjects.Tick("*"), func(msg *nats.Msg) {
		m, _ := s.subjects.fromTick(msg)
		for _, settled := range []Settled{
			{BeatID: "another", FlowsDue: 1},
			{BeatID: m.id(), FlowsDue: 21, FlowsTriggered: 21, Succeeded: 20, Failed: 1, Timestamp: m.at},
		} {
			settled.Group = "default"
			if err := s.events.Publish(Event{Group: "default", Kind: EventBeatSettled, Data: settled}); err != nil {
				t.Error(err)
			}
		}
	})
	if err := errors.Join(err, s.nc.Flush()); err != nil {
		t.Fatal(err)
	}
}

func TestWaitIsAnsweredWhenTheBeatHasSettled(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{Rate: -1}))
	s.settle(t)
	subscriptions := s.nc.NumSubscriptions()
	for i := range 50 { // the event is never missed, however soon it comes
		method := []string{"GET", "POST"}[i%2]
		answer := decode[map[string]any](t, s.ask(t, method, "/heartbeat?wait=1m", "", "Idempotency-Key", fmt.Sprint(i)), http.StatusOK)
		for key, want := range map[string]any{
			"beat_id": fmt.Sprintf("default:%d", i), "group": "default", "status": "settled",
			"flows_due": 21.0, "flows_triggered": 21.0, "succeeded": 20.0, "failed": 1.0,
		} {
			if answer[key] != want {
				t.Fatalf("%s is %v, want %v", key, answer[key], want)
			}
		}
		if at, err := time.Parse(time.RFC3339Nano, answer["timestamp"].(string)); err != nil || time.Since(at) > time.Minute {
			t.Fatalf("timestamp is %v", answer["timestamp"])
		}
	}
	// The reply inbox of requests to JetStream stays for good; watches do not.
	if got := s.nc.NumSubscriptions(); got > subscriptions+1 {
		t.Errorf("%d subscriptions are left over", got-subscriptions)
	}
}

func TestWaitThatEndsFirstIsAnsweredAsDraining(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	// The wait is longer than the timeouts of the connection.
	short := ServerConfig{ReadTimeout: 50 * time.Millisecond, WriteTimeout: 50 * time.Millisecond}
	s := newSiteOn(t, open(GatewayConfig{}), short, nc, subjects)
	for _, body := range []string{"", `{"source":"cron"}`} {
		start := time.Now()
		answer := decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat?wait=300ms", body), http.StatusAccepted)
		if answer.Status != StatusDraining || answer.BeatID == "" || answer.AcceptedAt.IsZero() {
			t.Errorf("got %+v", answer)
		}
		if took := time.Since(start); took < 300*time.Millisecond {
			t.Errorf("answered after %v already", took)
		}
	}
}

func TestWaitIsAnsweredWhenTheServerEnds(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	s := newSiteOn(t, open(GatewayConfig{}), ServerConfig{ShutdownTimeout: time.Hour}, nc, subjects)
	ticks := s.ticks(t)
	conn := dial(t, s.server, "POST /heartbeat?wait=5m HTTP/1.1\r\nHost: a\r\n\r\n")
	ticks.next(t)
	s.stop() // fails the test if the wait holds up the server
	list := answers(t, conn)
	if len(list) != 1 {
		t.Fatalf("got %d answers", len(list))
	}
	if answer := decode[acceptedAnswer](t, list[0], http.StatusAccepted); answer.Status != StatusDraining {
		t.Errorf("got %+v", answer)
	}
}

func TestClientThatHangsUpEndsItsWaitAndNotItsBeat(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{MaxWaiting: 1}))
	ticks := s.ticks(t)
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL()+"/heartbeat?wait=5m", nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			err = response.Body.Close()
		}
		gone <- err
	}()
	ticks.next(t)
	// The only place to wait is taken: the next one is answered at once.
	if answer := decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat?wait=5m", ""), 202); answer.Status != StatusDraining {
		t.Errorf("got %+v", answer)
	}
	ticks.next(t)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	until(t, "the place is free again", func() bool { return len(s.waiting) == 0 })
	// Even if the client is gone before the beat could be published.
	if outcome, err := s.HeartbeatEvent(ctx, Beat{}, time.Minute); err != nil || outcome.Status != StatusDraining {
		t.Errorf("got %+v and %v", outcome, err)
	}
	ticks.next(t)
}

// deaf is a watcher that cannot subscribe.
type deaf struct{}

func (deaf) WatchSettled(string) (*SettledWatch, error) { return nil, ErrUnavailable }

func TestBeatIsStoredEvenIfNobodyCanWaitForIt(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	for name, events := range map[string]SettledWatcher{"no events": nil, "events that cannot be watched": deaf{}} {
		gateway, err := NewGateway(open(GatewayConfig{}), publisher(t, nc, subjects.Prefix), events)
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := gateway.HeartbeatEvent(t.Context(), Beat{}, time.Minute)
		if err != nil || outcome.Status != StatusDraining || outcome.BeatID == "" {
			t.Errorf("%s: got %+v and %v", name, outcome, err)
		}
		if len(gateway.waiting) != 0 {
			t.Errorf("%s: a place to wait is lost", name)
		}
	}
}
