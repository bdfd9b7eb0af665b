package trigger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/systole-run/systole/internal/testenv"
)

// site is a gateway on a real server, in front of a real NATS.
type site struct {
	*Gateway
	server   *Server
	stop     func()
	nc       *nats.Conn
	subjects Subjects
	events   *Events
}

func open(cfg GatewayConfig) GatewayConfig {
	cfg.AllowAnonymous = true
	return cfg
}

func newSite(t testing.TB, cfg GatewayConfig) *site {
	t.Helper()
	nc, subjects := natsWithStreams(t)
	return newSiteOn(t, cfg, ServerConfig{}, nc, subjects)
}

func newSiteOn(t testing.TB, cfg GatewayConfig, server ServerConfig, nc *nats.Conn, subjects Subjects) *site {
	t.Helper()
	events, err := NewEvents(nc, subjects.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{nc: nc, subjects: subjects, events: events}
	if s.Gateway, err = NewGateway(cfg, publisher(t, nc, subjects.Prefix), events); err != nil {
		t.Fatal(err)
	}
	s.server, s.stop = serve(t, server, s.Gateway.Handler())
	return s
}

// ask sends a request; headers are names and values in turn.
func (s *site) ask(t testing.TB, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.server.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if request.Header[http.CanonicalHeaderKey(headers[i])] = nil; headers[i+1] != "" {
			request.Header.Set(headers[i], headers[i+1])
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// decode reads a JSON answer of that status.
func decode[T any](t testing.TB, response *http.Response, status int) T {
	t.Helper()
	var answer T
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status {
		t.Fatalf("got status %d, want %d: %s", response.StatusCode, status, body)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", response.Header)
	}
	return answer
}

func TestGatewayRefusesWhatItDoesNotOffer(t *testing.T) {
	t.Parallel()
	auth := authenticator(t, Token{Name: "all", Value: "all", Scopes: []string{ScopeBeat, ScopeRun}},
		Token{Name: "beats", Value: "beats"}, Token{Name: "runs", Value: "runs", Scopes: []string{ScopeRun}},
		Token{Name: "billing", Value: "billing", Groups: []string{"billing"}})
	s := newSite(t, GatewayConfig{Access: Access{Auth: auth}, Rate: -1})
	const token = HeaderToken
	large := `{"note":"` + strings.Repeat("x", MaxBody) + `"}`
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		header, value            string // one that the answer must have
	}{
		// R2.5
		{"no credential", "POST", "/heartbeat", "", nil, 401, "WWW-Authenticate", `Bearer realm="systole"`},
		{"a wrong credential", "GET", "/heartbeat", "", []string{token, "wrong"}, 401, "WWW-Authenticate", `Bearer realm="systole", error="invalid_token"`},
		{"a credential in the query", "GET", "/heartbeat?token=all", "", nil, 401, "", ""},
		{"no credential for a path that is none", "GET", "/nowhere", "", nil, 401, "", ""},
		{"no credential for a method that is not offered", "DELETE", "/heartbeat", "", nil, 401, "", ""},
		{"a credential for runs only", "POST", "/heartbeat", "", []string{token, "runs"}, 403, "", ""},
		{"a credential for beats only", "POST", "/run/default/a", "", []string{token, "beats"}, 403, "", ""},
		{"a credential for another group", "POST", "/heartbeat/default", "", []string{token, "billing"}, 403, "", ""},
		{"a credential for another group than the default", "POST", "/heartbeat", "", []string{token, "billing"}, 403, "", ""},
		{"a credential for another group than the body's", "POST", "/heartbeat", `{"group":"other"}`, []string{token, "billing"}, 403, "", ""},
		{"a credential that does not fit, with a bad body", "POST", "/heartbeat/default", `{`, []string{token, "billing"}, 403, "", ""},
		// R2.2
		{"PUT", "PUT", "/heartbeat", "", []string{token, "all"}, 405, "Allow", "GET, POST"},
		{"DELETE", "DELETE", "/heartbeat/default", "", []string{token, "all"}, 405, "Allow", "GET, POST"},
		{"TRACE", "TRACE", "/heartbeat", "", []string{token, "all"}, 405, "Allow", "GET, POST"},
		{"OPTIONS", "OPTIONS", "/heartbeat", "", []string{token, "all"}, 405, "Allow", "GET, POST"},
		{"PATCH", "PATCH", "/heartbeat", "{}", []string{token, "all"}, 405, "Allow", "GET, POST"},
		{"a method in small letters", "post", "/heartbeat", "", []string{token, "all"}, 405, "Allow", "GET, POST"},
		{"an unknown method", "BEAT", "/heartbeat", "", []string{token, "all"}, 405, "Allow", "GET, POST"},
		{"GET of a run", "GET", "/run/default/a", "", []string{token, "all"}, 405, "Allow", "POST"},
		{"another path", "GET", "/", "", []string{token, "all"}, 404, "", ""},
		{"a path that goes on", "GET", "/heartbeats", "", []string{token, "all"}, 404, "", ""},
		{"a slash at the end", "GET", "/heartbeat/", "", []string{token, "all"}, 404, "", ""},
		{"a slash after the group", "GET", "/heartbeat/default/", "", []string{token, "all"}, 404, "", ""},
		{"too many segments", "GET", "/heartbeat/default/x", "", []string{token, "all"}, 404, "", ""},
		{"two slashes", "GET", "//heartbeat", "", []string{token, "all"}, 404, "", ""},
		{"an empty segment", "GET", "/heartbeat//default", "", []string{token, "all"}, 404, "", ""},
		{"dots", "GET", "/x/../heartbeat", "", []string{token, "all"}, 404, "", ""},
		{"dots as the group", "GET", "/heartbeat/..", "", []string{token, "all"}, 404, "", ""},
		{"a dot", "GET", "/./heartbeat", "", []string{token, "all"}, 404, "", ""},
		{"an escaped letter", "GET", "/heartbea%74", "", []string{token, "all"}, 404, "", ""},
		{"an escaped letter in the group", "GET", "/heartbeat/%64efault", "", []string{token, "all"}, 404, "", ""},
		{"an escaped slash", "GET", "/heartbeat%2Fdefault", "", []string{token, "all"}, 404, "", ""},
		{"an escaped slash in the group", "GET", "/heartbeat/a%2Fb", "", []string{token, "all"}, 404, "", ""},
		{"escaped dots as the group", "GET", "/heartbeat/%2E%2e", "", []string{token, "all"}, 404, "", ""},
		{"an escape in small letters", "GET", "/heartbeat/a%3eb", "", []string{token, "all"}, 404, "", ""},
		{"a group with a space", "GET", "/heartbeat/a%20b", "", []string{token, "all"}, 400, "", ""},
		{"a group in another script", "GET", "/heartbeat/gr%C3%BCn", "", []string{token, "all"}, 400, "", ""},
		{"a group with a character of subjects", "GET", "/heartbeat/%3E", "", []string{token, "all"}, 400, "", ""},
		{"a group with a line end", "GET", "/heartbeat/a%0A", "", []string{token, "all"}, 400, "", ""},
		{"a group that is escaped twice", "GET", "/heartbeat/%2564efault", "", []string{token, "all"}, 400, "", ""},
		{"a flow with a space", "POST", "/run/default/a%20b", "", []string{token, "all"}, 400, "", ""},
		{"a run without a flow", "POST", "/run/default", "", []string{token, "all"}, 404, "", ""},
		{"another content type", "POST", "/heartbeat", "group=a", []string{token, "all", "Content-Type", "application/x-www-form-urlencoded"}, 415, "", ""},
		{"no content type", "POST", "/heartbeat", "{}", []string{token, "all", "Content-Type", ""}, 415, "", ""},
		{"another character set", "POST", "/heartbeat", "{}", []string{token, "all", "Content-Type", "application/json; charset=latin1"}, 415, "", ""},
		{"an encoded body", "POST", "/heartbeat", "{}", []string{token, "all", "Content-Encoding", "gzip"}, 415, "", ""},
		{"an encoding without a body", "GET", "/heartbeat", "", []string{token, "all", "Content-Encoding", "identity"}, 415, "", ""},
		{"a body that is too large", "POST", "/heartbeat", large, []string{token, "all"}, 413, "", ""},
		{"parameters that are too large", "POST", "/run/default/a", `{"a":"` + strings.Repeat("x", MaxParams) + `"}`, []string{token, "all"}, 413, "", ""},
		{"a bad group", "GET", "/heartbeat/Default", "", []string{token, "all"}, 400, "", ""},
		{"a group with a dot", "GET", "/heartbeat/a.b", "", []string{token, "all"}, 400, "", ""},
		{"a group like a subject", "GET", "/heartbeat/*", "", []string{token, "all"}, 400, "", ""},
		{"a bad group with a credential for one group", "GET", "/heartbeat/Default", "", []string{token, "billing"}, 400, "", ""},
		{"a group that is too long", "GET", "/heartbeat/" + strings.Repeat("a", 64), "", []string{token, "all"}, 400, "", ""},
		{"no unit on the wait", "GET", "/heartbeat?wait=30", "", []string{token, "all"}, 400, "", ""},
		{"an empty wait", "GET", "/heartbeat?wait=", "", []string{token, "all"}, 400, "", ""},
		{"no wait at all", "GET", "/heartbeat?wait=0s", "", []string{token, "all"}, 400, "", ""},
		{"a negative wait", "GET", "/heartbeat?wait=-1s", "", []string{token, "all"}, 400, "", ""},
		{"too long a wait", "GET", "/heartbeat?wait=5m1s", "", []string{token, "all"}, 400, "", ""},
		{"two waits", "GET", "/heartbeat?wait=1s&wait=2s", "", []string{token, "all"}, 400, "", ""},
		{"a misspelled wait", "GET", "/heartbeat?wiat=1s", "", []string{token, "all"}, 400, "", ""},
		{"a broken query", "GET", "/heartbeat?wait=%zz", "", []string{token, "all"}, 400, "", ""},
		{"a wait on a run", "POST", "/run/default/a?wait=1s", "", []string{token, "all"}, 400, "", ""},
		{"an unknown key", "POST", "/heartbeat", `{"grp":"a"}`, []string{token, "all"}, 400, "", ""},
		{"a doubled key", "POST", "/heartbeat", `{"note":"a","note":"a"}`, []string{token, "all"}, 400, "", ""},
		{"a list", "POST", "/heartbeat", `[]`, []string{token, "all"}, 400, "", ""},
		{"trailing data", "GET", "/heartbeat", `{} {}`, []string{token, "all"}, 400, "", ""},
		{"only a space", "POST", "/heartbeat", ` `, []string{token, "all"}, 400, "", ""},
		{"another group in the body", "POST", "/heartbeat/default", `{"group":"other"}`, []string{token, "all"}, 400, "", ""},
		{"a key that is too long", "POST", "/heartbeat", "", []string{token, "all", "Idempotency-Key", strings.Repeat("k", 129)}, 400, "", ""},
		{"a key with a space", "POST", "/heartbeat", "", []string{token, "all", "Idempotency-Key", "a b"}, 400, "", ""},
		{"a key that is not ASCII", "POST", "/heartbeat", "", []string{token, "all", "Idempotency-Key", "clé"}, 400, "", ""},
		{"a bad flow", "POST", "/run/default/A", "", []string{token, "all"}, 400, "", ""},
		{"parameters that are no object", "POST", "/run/default/a", `[1]`, []string{token, "all"}, 400, "", ""},
		{"parameters that are null", "POST", "/run/default/a", `null`, []string{token, "all"}, 400, "", ""},
		{"a doubled key in parameters", "POST", "/run/default/a", `{"a":{"b":1,"b":2}}`, []string{token, "all"}, 400, "", ""},
	}
	for _, test := range tests { // R2.4
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			response := s.ask(t, test.method, test.path, test.body, test.headers...)
			problem := checkProblem(t, response, test.status)
			if test.header != "" && response.Header.Get(test.header) != test.value {
				t.Errorf("%s is %q, want %q", test.header, response.Header.Get(test.header), test.value)
			}
			if test.status == 400 && (len(problem.Errors) == 0 || problem.Errors[0].Allowed == "" || problem.Errors[0].Found == "") {
				t.Errorf("the problem does not say what was found and what is allowed: %+v", problem)
			}
		})
	}
}

func TestHeadIsRefusedWithoutABody(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{}))
	response := s.ask(t, "HEAD", "/heartbeat", "")
	if response.StatusCode != 405 || response.Header.Get("Allow") != "GET, POST" || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %v", response.StatusCode, response.Header)
	}
}

func TestGatewayListsAllErrorsOfARequestAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{}))
	response := s.ask(t, "POST", "/heartbeat/Bad?wait=soon&x=1", `{"note":7,"colour":"red"}`, "Idempotency-Key", "a b")
	var fields []string
	for _, problem := range checkProblem(t, response, 400).Errors {
		fields = append(fields, problem.Field)
	}
	slices.Sort(fields)
	if got := strings.Join(fields, " "); got != "Idempotency-Key colour group note query wait" {
		t.Errorf("got %s", got)
	}
}

// A request with everything wrong is told one thing after the other: who may not come in learns nothing further.
func TestGatewayChecksAddressThenCredentialThenRequestThenBody(t *testing.T) {
	t.Parallel()
	auth := authenticator(t, Token{Name: "a", Value: "a"})
	elsewhere := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	s := newSite(t, GatewayConfig{Access: Access{Auth: auth, Allow: elsewhere}})
	ask := func(status int, method string, headers ...string) {
		t.Helper()
		checkProblem(t, s.ask(t, method, "/heartbeat?wait=x", "{", append(headers, "Content-Encoding", "gzip")...), status)
	}
	ask(403, "DELETE")
	if err := s.Reload(Access{Auth: auth, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}); err != nil {
		t.Fatal(err)
	}
	ask(401, "DELETE")
	ask(401, "DELETE", HeaderToken, "b")
	ask(405, "DELETE", HeaderToken, "a")
	ask(415, "POST", HeaderToken, "a")
	if got := checkProblem(t, s.ask(t, "POST", "/heartbeat", "{", HeaderToken, "a"), 400).Errors; len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestGatewayRefusesBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	nobody := Access{AllowAnonymous: true, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	s := newSiteOn(t, GatewayConfig{Access: nobody}, ServerConfig{ReadTimeout: time.Hour, ShutdownTimeout: time.Second}, nc, subjects)
	conn := dial(t, s.server, "POST /heartbeat HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n")
	answer := make([]byte, len("HTTP/1.1 403"))
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 403" {
		t.Errorf("got %q and %v, with no byte of the body sent", answer, err)
	}
}

func TestGatewayTellsAClientWhoseBodyDoesNotArrive(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	s := newSiteOn(t, open(GatewayConfig{}), ServerConfig{ReadTimeout: 50 * time.Millisecond}, nc, subjects)
	const head = "POST /heartbeat HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
	checkProblem(t, answers(t, dial(t, s.server, head))[0], http.StatusRequestTimeout)
	conn := dial(t, newSiteOn(t, open(GatewayConfig{}), ServerConfig{}, nc, subjects).server, head)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	checkProblem(t, answers(t, conn)[0], http.StatusBadRequest)
}

func TestGatewayBelievesTrustedProxiesAboutTheClient(t *testing.T) {
	t.Parallel()
	cfg := open(GatewayConfig{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	cfg.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	s := newSite(t, cfg)
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", "X-Forwarded-For", "6.6.6.6, 192.0.2.7"), 202)
	checkProblem(t, s.ask(t, "POST", "/heartbeat", "", "X-Forwarded-For", "192.0.2.7, 6.6.6.6"), 403)
	checkProblem(t, s.ask(t, "POST", "/heartbeat", "", "X-Forwarded-For", "192.0.2.7, unknown"), 403)
}

func TestGatewayLimitsTheRateOfEachClient(t *testing.T) {
	t.Parallel()
	s := newSite(t, GatewayConfig{
		Access: Access{Auth: authenticator(t, Token{Name: "a", Value: "a"})}, Rate: 0.1, Burst: 2,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	})
	s.now = (&testClock{at: time.Now()}).now
	from := func(client string) *http.Response {
		return s.ask(t, "POST", "/heartbeat", "", "X-Forwarded-For", client, HeaderToken, "guess")
	}
	checkProblem(t, from("192.0.2.1"), 401)
	checkProblem(t, from("192.0.2.1"), 401)
	response := from("192.0.2.1") // guessing tokens is bounded too
	checkProblem(t, response, 429)
	if got := response.Header.Get("Retry-After"); got != "10" {
		t.Errorf("Retry-After is %q, want 10", got)
	}
	checkProblem(t, from("192.0.2.2"), 401)
}

func TestReloadExchangesTokensOrLeavesTheOldOnesStanding(t *testing.T) {
	t.Parallel()
	s := newSite(t, GatewayConfig{Access: Access{Auth: authenticator(t, Token{Name: "old", Value: "old"})}})
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", HeaderToken, "old"), 202)
	if err := s.Reload(Access{}); err == nil {
		t.Error("access for nobody was accepted")
	}
	if err := s.Reload(Access{AllowAnonymous: true, Allow: []netip.Prefix{{}}}); err == nil {
		t.Error("a network that is none was accepted")
	}
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", HeaderToken, "old"), 202)
	if err := s.Reload(Access{Auth: authenticator(t, Token{Name: "new", Value: "new"})}); err != nil {
		t.Fatal(err)
	}
	checkProblem(t, s.ask(t, "POST", "/heartbeat", "", HeaderToken, "old"), 401)
	decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", HeaderToken, "new"), 202)
}

func TestGatewayAnswers503WhileNATSIsAwayAndRecovers(t *testing.T) {
	t.Parallel()
	ns := testenv.StartNATS(t)
	nc := testenv.Connect(t, ns.URL)
	subjects := Subjects{Prefix: "away"}
	ensured(t, nc, StreamConfig{Prefix: subjects.Prefix})
	events, err := NewEvents(nc, subjects.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	patient, err := NewPublisher(nc, PublisherConfig{Streams: StreamConfig{Prefix: subjects.Prefix}, AckTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := NewGateway(open(GatewayConfig{}), patient, events)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Gateway: gateway}
	s.server, s.stop = serve(t, ServerConfig{}, gateway)
	ns.Stop()
	for _, path := range []string{"/heartbeat", "/heartbeat?wait=100ms", "/run/default/a"} {
		response := s.ask(t, "POST", path, "")
		problem := checkProblem(t, response, 503)
		if response.Header.Get("Retry-After") == "" || strings.Contains(problem.Detail, "nats:") {
			t.Errorf("%s: headers %v, detail %q", path, response.Header, problem.Detail)
		}
	}
	ns.Restart(t, false) // with its streams gone
	until(t, "the gateway accepts again", func() bool {
		return s.ask(t, "POST", "/heartbeat", "").StatusCode == http.StatusAccepted
	})
}

func TestNoCredentialReachesLogsOrAnswers(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	s := newSite(t, GatewayConfig{
		Access: Access{Auth: authenticator(t, Token{Name: "known", Value: secret})},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	const wrong = "wr0ng-but-still-private"
	var answers strings.Builder
	for _, headers := range [][]string{
		{HeaderToken, wrong},
		{"Authorization", "Bearer " + wrong},
		{"Authorization", "Basic " + wrong},
		{"Authorization", wrong},
		{HeaderToken, secret},
		{"Authorization", "Bearer " + secret},
		{HeaderToken, secret, "Authorization", "Bearer " + wrong},
	} {
		for _, path := range []string{"/heartbeat", "/heartbeat?token=" + wrong, "/run/default/a?token=" + secret, "/nowhere?" + "a=" + secret} {
			body, err := io.ReadAll(s.ask(t, "POST", path, "", headers...).Body)
			if err != nil {
				t.Fatal(err)
			}
			answers.Write(body)
		}
	}
	s.stop()
	for _, text := range []string{log.String(), answers.String()} {
		if strings.Contains(text, secret) || strings.Contains(text, wrong) {
			t.Errorf("a credential shows in %s", text)
		}
	}
	if !strings.Contains(log.String(), "principal=known") || !strings.Contains(log.String(), "status=401") || !strings.Contains(log.String(), "beat_id=") {
		t.Errorf("the log says too little: %s", log.String())
	}
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func TestGatewayMetricsTakeNoLabelFromClients(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	s := newSite(t, open(GatewayConfig{Registerer: registry}))
	for i := range 5 {
		s.ask(t, fmt.Sprintf("METHOD%d", i), "/heartbeat", "")
		s.ask(t, "GET", fmt.Sprintf("/nowhere/%d", i), "")
		decode[acceptedAnswer](t, s.ask(t, "GET", fmt.Sprintf("/heartbeat/group%d", i), ""), 202)
	}
	want := `
# HELP systole_http_requests_total Requests to the gateway, by route (heartbeat, run, callback, other), method (GET, POST, other) and status code.
# TYPE systole_http_requests_total counter
systole_http_requests_total{code="202",method="GET",route="heartbeat"} 5
systole_http_requests_total{code="404",method="GET",route="other"} 5
systole_http_requests_total{code="405",method="other",route="heartbeat"} 5
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "systole_http_requests_total"); err != nil {
		t.Error(err)
	}
}

func TestTheClientsTraceGoesOnInTheBeat(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	stored := func(s *site) string {
		t.Helper()
		subscription, err := s.nc.SubscribeSync(s.subjects.Tick("default"))
		if err != nil {
			t.Fatal(err)
		}
		decode[acceptedAnswer](t, s.ask(t, "POST", "/heartbeat", "", "traceparent", parent), 202)
		msg, err := subscription.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		return msg.Header.Get(headerTrace)
	}
	if got := stored(newSite(t, open(GatewayConfig{}))); got != parent {
		t.Errorf("without tracing: got %q, want the client's own", got)
	}
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	got := stored(newSite(t, open(GatewayConfig{TracerProvider: provider})))
	spans := recorder.Ended()
	if len(spans) != 1 || spans[0].Name() != "POST /heartbeat" || spans[0].Parent().SpanID().String() != "b7ad6b7169203331" {
		t.Fatalf("got spans %v", spans)
	}
	if want := fmt.Sprintf("00-0af7651916cd43dd8448eb211c80319c-%s-01", spans[0].SpanContext().SpanID()); got != want {
		t.Errorf("the beat carries %q, want %q", got, want)
	}
}

func TestGatewayOwnsWhatLiesBelowItsPathsCleanOrNot(t *testing.T) {
	t.Parallel()
	s := newSite(t, open(GatewayConfig{}))
	for path, want := range map[string]bool{
		"/heartbeat": true, "/heartbeat/a": true, "/heartbeat//..": true, "/run/a/b": true, "/": false, "/heartbeats": false, "/api/v1/flows": false,
	} {
		request, err := http.NewRequest(http.MethodGet, "http://a"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Owns(request); got != want {
			t.Errorf("%s: got %v", path, got)
		}
	}
}

// R5.4, R5.5
func TestGatewayListsEverythingWrongWithItsConfiguration(t *testing.T) {
	t.Parallel()
	_, err := NewGateway(GatewayConfig{
		Path: "/heart beat/", RunPath: "run", Burst: -1, MaxBody: MaxBody + 1, MaxWait: -1, MaxWaiting: -1,
		Access: Access{Allow: []netip.Prefix{{}}}, TrustedProxies: []netip.Prefix{{}},
	}, nil, nil)
	var invalid InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want an InvalidError", err)
	}
	var fields []string
	for _, problem := range invalid {
		fields = append(fields, problem.Field)
	}
	slices.Sort(fields)
	want := "allow[0] auth burst max_body max_wait max_waiting path run_path trusted_proxies[0]"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, cfg := range []GatewayConfig{{}, {Path: "/a", RunPath: "/a/b"}, {Access: Access{AllowAnonymous: true, Auth: &Authenticator{}}}} {
		if cfg.Validate() == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	if err := open(GatewayConfig{}).Validate(); err != nil {
		t.Errorf("the defaults were refused: %v", err)
	}
}

// R2.1
func TestGatewayServesOnAMuxOfOnesOwn(t *testing.T) {
	t.Parallel()
	nc, subjects := natsWithStreams(t)
	gateway, err := NewGateway(open(GatewayConfig{Path: "/internal/beat"}), publisher(t, nc, subjects.Prefix), nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/internal/beat", gateway.Handler())
	mux.Handle("/internal/beat/", gateway.Handler())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- plain.Serve(listener) }()
	defer func() {
		if err := errors.Join(plain.Shutdown(context.WithoutCancel(t.Context())), <-served); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	url := "http://" + listener.Addr().String() + "/internal/beat/billing?wait=1m"
	response, err := http.Post(url, "application/json", strings.NewReader(`{"source":"cron"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := decode[acceptedAnswer](t, response, 202); got.Group != "billing" || got.Status != StatusDraining {
		t.Errorf("got %+v", got)
	}
	request, err := http.NewRequest(http.MethodPost, url, io.NopCloser(strings.NewReader("{}"))) // chunked: refused here too
	if err != nil {
		t.Fatal(err)
	}
	if response, err = http.DefaultClient.Do(request); err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	checkProblem(t, response, http.StatusLengthRequired)
}
