package triggers_test

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// R2.2, R6.5: what the services send, byte for byte, is a heartbeat to the gateway.
func TestTheRequestOfCloudSchedulerIsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	const account = "systole-heartbeat@my-project.iam.gserviceaccount.com"
	other := g.issuer.sign(googleClaims("somebody@my-project.iam.gserviceaccount.com"))
	if status := g.send("cloud-scheduler/request.http", other); status != http.StatusUnauthorized && status != http.StatusForbidden {
		t.Errorf("another account is answered %d", status)
	}
	g.replay("cloud-scheduler/request.http", "cloud-scheduler", g.issuer.sign(googleClaims(account)))
}

func TestTheRequestOfEventBridgeIsAHeartbeat(t *testing.T) {
	t.Parallel()
	newGroup(t).replay("eventbridge/request.http", "eventbridge", credential)
}

// The files that set a service up give the body and the headers that the replayed request has.
func TestCloudSchedulerSendsWhatItsRequestSays(t *testing.T) {
	t.Parallel()
	page, terraform, request := read(t, "cloud-scheduler/README.md"), read(t, "cloud-scheduler/main.tf"), read(t, "cloud-scheduler/request.http")
	const body = `{"source":"cloud-scheduler"}`
	for text, has := range map[string]string{page: "--message-body '" + body + "'", terraform: `jsonencode({ source = "cloud-scheduler" })`, request: "\n\n" + body + "\n"} {
		if !strings.Contains(text, has) {
			t.Errorf("no %q in\n%s", has, text)
		}
	}
	for text, has := range map[string]string{page: "--headers Content-Type=application/json", terraform: `"Content-Type" = "application/json"`, request: "\nContent-Type: application/json\n"} {
		if !strings.Contains(text, has) {
			t.Errorf("no %q in\n%s", has, text)
		}
	}
}

func TestEventBridgeSendsWhatItsRequestSays(t *testing.T) {
	t.Parallel()
	template, request := read(t, "eventbridge/template.yaml"), read(t, "eventbridge/request.http")
	for text, wanted := range map[string][]string{
		template: {`InputTemplate: '{"source":"eventbridge"}'`, "ApiKeyName: X-Heartbeat-Token", "HttpMethod: POST", `"${Gateway}/heartbeat"`},
		request:  {"\n\n" + `{"source":"eventbridge"}` + "\n", "\nX-Heartbeat-Token: {{token}}\n", "POST /heartbeat/"},
	} {
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
}

// replay sends a request as it was written down, over a connection of its own, first with a wrong credential.
func (g group) replay(file, source, credential string) {
	g.t.Helper()
	if status := g.send(file, "not-the-token"); status != http.StatusUnauthorized {
		g.t.Errorf("with a wrong credential it is answered %d", status)
	}
	if status := g.send(file, credential); status != http.StatusAccepted {
		g.t.Fatalf("it is answered %d", status)
	}
	g.ran(source)
	// At least once is what these services promise.
	if status := g.send(file, credential); status != http.StatusAccepted {
		g.t.Errorf("sent again it is answered %d", status)
	}
	g.until("both beats have settled", func() bool {
		beats := g.beats()
		return len(beats) == 2 && beats[0].SettledAt != nil && beats[1].SettledAt != nil
	})
	if runs := g.runs("hello"); len(runs) != 1 {
		g.t.Errorf("the request sent twice gives %d runs", len(runs))
	}
}

func (g group) send(file, shown string) (status int) {
	g.t.Helper()
	text := strings.NewReplacer("{{group}}", g.name, "{{token}}", shown).Replace(strings.TrimSuffix(read(g.t, file), "\n"))
	head, body, _ := strings.Cut(text, "\n\n")
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.gateway, "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := conn.Write([]byte(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body)); err != nil {
		g.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
