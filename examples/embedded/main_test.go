package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// patience bounds every wait of these tests, on the busiest of machines.
const patience = 2 * time.Minute

// command is what the example prints for its user to paste.
var command = regexp.MustCompile(`curl -X (\w+) -H '([^:']+): ([^']+)' '(http://[^/]+)(/[^']+)'`)

// service is the example as it runs, and the request that it told us to send.
type service struct {
	t                              *testing.T
	method, header, value, address string
	path                           string
}

// startService runs the example with an environment until the test ends.
func startService(t *testing.T, environment map[string]string) service {
	t.Helper()
	t.Setenv("LISTEN", "127.0.0.1:0")
	for name, value := range environment {
		t.Setenv(name, value)
	}
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, writer)
		_ = writer.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	printed := make([]byte, 4<<10)
	said := ""
	for !command.MatchString(said) {
		n, err := reader.Read(printed)
		if err != nil {
			t.Fatalf("it printed no command: %v\n%s", err, said)
		}
		said += string(printed[:n])
	}
	found := command.FindStringSubmatch(said)
	return service{t, found[1], found[2], found[3], found[4], found[5]}
}

// send sends a request with the credential that was printed, unless authorized is false.
func (s service) send(method, path string, authorized bool) (status int, body []byte) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.address+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	if authorized {
		request.Header.Set(s.header, s.value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, body
}

// settled is the answer to a heartbeat that waits.
type settled struct {
	Status    string `json:"status"`
	Due       int    `json:"flows_due"`
	Succeeded int    `json:"succeeded"`
}

func (s service) beat() settled {
	s.t.Helper()
	status, body := s.send(s.method, s.path, true)
	var answer settled
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		s.t.Fatalf("answered %d %s (%v)", status, body, err)
	}
	return answer
}

// R4.1, R4.2, R4.5: the heartbeat controller on a mux of someone's own, and the command to send a heartbeat by hand.
func TestThePrintedCommandRunsTheGreeting(t *testing.T) {
	s := startService(t, nil)
	if answer := s.beat(); answer != (settled{"settled", 1, 1}) {
		t.Errorf("the first heartbeat gives %+v", answer)
	}
	if answer := s.beat(); answer != (settled{"settled", 0, 0}) {
		t.Errorf("the next heartbeat, in the same minute, gives %+v", answer)
	}
}

func TestTheServiceKeepsItsOwnPagesBesideTheHeartbeat(t *testing.T) {
	s := startService(t, nil)
	if status, body := s.send("GET", "/", false); status != http.StatusOK || !bytes.Contains(body, []byte("my own service")) {
		t.Errorf("the service's own page is answered %d %s", status, body)
	}
	if status, _ := s.send("POST", "/heartbeat", false); status != http.StatusUnauthorized {
		t.Errorf("a heartbeat without the token is answered %d", status)
	}
	if status, body := s.send("POST", "/heartbeat/reports?wait=1m", true); status != http.StatusOK || !bytes.Contains(body, []byte(`"group":"reports"`)) {
		t.Errorf("a heartbeat of a group is answered %d %s", status, body)
	}
}

// R4.3: on servers of one's own, where another system's message in NATS does what a request does.
func TestAMessageOfAnotherSystemRunsTheGreeting(t *testing.T) {
	natsServer, redis := testenv.StartNATS(t), testenv.StartRedis(t)
	startService(t, map[string]string{"NATS_URL": natsServer.URL, "REDIS_URL": redis.URL(), "HEARTBEAT_TOKEN": strings.Repeat("t", 32)})
	listener := testenv.Connect(t, natsServer.URL)
	events, err := listener.SubscribeSync("systole.event.default.>")
	if err := errors.Join(err, listener.FlushTimeout(patience)); err != nil { // the server knows of it before anything happens
		t.Fatal(err)
	}
	other := testenv.Connect(t, natsServer.URL)
	if _, err := other.RequestMsg(nats.NewMsg("systole.beat.default"), patience); err != nil {
		t.Fatal(err)
	}
	for {
		event, err := events.NextMsg(patience)
		if err != nil {
			t.Fatal("no run succeeded: ", err)
		}
		if event.Subject == "systole.event.default.run.succeeded" {
			break
		}
	}
	client, err := store.Connect(store.ConnConfig{URLs: []string{redis.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	st, err := store.New(client, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	runs, _, err := st.Runs(t.Context(), store.DefaultGroup, store.RunFilter{Flow: "greeting"})
	if err != nil || len(runs) != 1 || runs[0].Status != store.StatusSuccess {
		t.Errorf("runs are %+v, %v", runs, err)
	}
}
