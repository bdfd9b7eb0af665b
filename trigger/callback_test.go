package trigger

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/internal/testenv"
)

var testKey = []byte(strings.Repeat("k", MinCallbackKey))

// callbackSite is a gateway with callbacks, and the worker's side of them.
type callbackSite struct {
	*site
	worker *Callbacks
}

func newCallbackSite(t *testing.T, worker CallbacksConfig) *callbackSite {
	t.Helper()
	nc, subjects := natsWithStreams(t)
	return newCallbackSiteOn(t, worker, nc, nc, subjects)
}

func newCallbackSiteOn(t *testing.T, worker CallbacksConfig, gatewayConn, workerConn *nats.Conn, subjects Subjects) *callbackSite {
	t.Helper()
	s := &callbackSite{}
	auth := authenticator(t, Token{Name: "all", Value: "all", Scopes: []string{ScopeBeat, ScopeRun}})
	s.site = newSiteOn(t, GatewayConfig{Access: Access{Auth: auth}, Rate: -1, Callbacks: callbacks(t, gatewayConn, CallbacksConfig{
		Prefix: subjects.Prefix, Key: testKey, Timeout: cmp.Or(worker.Timeout, patience),
	})}, ServerConfig{}, gatewayConn, subjects)
	worker.Prefix, worker.Key, worker.URL = subjects.Prefix, testKey, s.server.URL()+"/callback/"
	s.worker = callbacks(t, workerConn, worker)
	return s
}

func callbacks(t *testing.T, nc *nats.Conn, cfg CallbacksConfig) *Callbacks {
	t.Helper()
	c, err := NewCallbacks(nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// waiting is a run that waits for a report.
type waiting struct {
	path, token string
	stop        func()

	mu      sync.Mutex
	reports []string
	refuse  error
}

func (s *callbackSite) await(t *testing.T, runID, fence string, until time.Time) *waiting {
	t.Helper()
	w := &waiting{}
	address, token, stop, err := s.worker.Await("default", runID, fence, until, w.take)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	w.path, w.token, w.stop = strings.TrimPrefix(address, s.server.URL()), token, stop
	if w.path != "/callback/"+runID {
		t.Fatalf("the address is %s", address)
	}
	return w
}

func (w *waiting) take(body []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse != nil {
		return w.refuse
	}
	w.reports = append(w.reports, string(body))
	return nil
}

func (w *waiting) took(t *testing.T, reports ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Join(w.reports, "|") != strings.Join(reports, "|") {
		t.Errorf("took %q, want %q", w.reports, reports)
	}
}

// send reports with the run's own token.
func (s *callbackSite) send(t *testing.T, w *waiting, body string) *http.Response {
	t.Helper()
	return s.ask(t, "POST", w.path, body, "Authorization", "Bearer "+w.token)
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func TestAReportReachesTheAttemptThatItIsFor(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{})
	first, other := s.await(t, "a~1795388654370168", "1", inAnHour()), s.await(t, "b~1795388654370168-2", "2", inAnHour())
	answer := decode[callbackAnswer](t, s.send(t, first, `{"status":"success"}`), http.StatusAccepted)
	if answer != (callbackAnswer{RunID: "a~1795388654370168", Status: StatusAccepted}) {
		t.Errorf("got %+v", answer)
	}
	decode[callbackAnswer](t, s.send(t, other, ""), http.StatusAccepted)
	first.took(t, `{"status":"success"}`)
	other.took(t, "")
}

func TestAReportIsTakenOnceHoweverOftenItIsSent(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{})
	w := s.await(t, "a~1795388654370168", "1", inAnHour())
	decode[callbackAnswer](t, s.send(t, w, `{}`), http.StatusAccepted)
	for _, ended := range []bool{false, true} {
		if ended {
			w.stop() // the run is over, and the answer may have been lost
			w.stop()
		}
		if answer := decode[callbackAnswer](t, s.send(t, w, `{}`), http.StatusAccepted); !answer.Duplicate {
			t.Errorf("ended %t: got %+v", ended, answer)
		}
		checkProblem(t, s.send(t, w, `{"status":"failed"}`), http.StatusConflict)
	}
	w.took(t, `{}`)
	s.worker.Close() // its worker ends
	checkProblem(t, s.send(t, w, `{}`), http.StatusGone)
}

func TestAReportThatWasTakenIsForgottenInTheEnd(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{Remember: time.Nanosecond})
	w := s.await(t, "a~1795388654370168", "1", inAnHour())
	decode[callbackAnswer](t, s.send(t, w, ""), http.StatusAccepted)
	w.stop()
	until(t, "it is forgotten", func() bool { return s.send(t, w, "").StatusCode == http.StatusGone })
}

func TestNoMoreThanSoManyReportsAreRemembered(t *testing.T) {
	t.Parallel()
	nc, prefix := testenv.NATS(t)
	c := callbacks(t, nc, CallbacksConfig{Prefix: prefix, Key: testKey})
	for range mostRemembered + 10 {
		subscription, err := nc.Subscribe(prefix+".x", func(*nats.Msg) {})
		if err != nil {
			t.Fatal(err)
		}
		c.remember(&awaited{callbacks: c, subscription: subscription})
	}
	if len(c.taken) != mostRemembered || nc.NumSubscriptions() > mostRemembered {
		t.Errorf("%d are remembered, with %d subscriptions", len(c.taken), nc.NumSubscriptions())
	}
}

func TestAReportThatIsNoneMayBeSentAgain(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{})
	w := s.await(t, "a~1795388654370168", "1", inAnHour())
	w.refuse = errors.New(`status: found "done", allowed is success or failed`)
	if problem := checkProblem(t, s.send(t, w, `{"status":"done"}`), http.StatusBadRequest); !strings.Contains(problem.Detail, w.refuse.Error()) {
		t.Errorf("got %+v", problem)
	}
	w.refuse = nil
	decode[callbackAnswer](t, s.send(t, w, `{"status":"success"}`), http.StatusAccepted)
	w.took(t, `{"status":"success"}`)
}

func TestAReportOnARunThatNobodyHoldsIsGone(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{})
	ended := s.await(t, "a~1795388654370168", "1", inAnHour())
	ended.stop()
	if problem := checkProblem(t, s.send(t, ended, `{}`), http.StatusGone); !strings.Contains(problem.Detail, "nobody waits") {
		t.Errorf("got %+v", problem)
	}
	late := s.await(t, "b~1795388654370168", "1", time.Now().Add(-time.Hour))
	if problem := checkProblem(t, s.send(t, late, `{}`), http.StatusGone); !strings.Contains(problem.Detail, "time") {
		t.Errorf("got %+v", problem)
	}
	late.took(t)
}

func TestOnlyTheTokenOfTheAttemptLetsAReportIn(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{})
	w, other := s.await(t, "a~1795388654370168", "2", inAnHour()), s.await(t, "b~1795388654370168", "1", inAnHour())
	foreign, err := callbackKey(strings.Repeat("x", MinCallbackKey)).sign(attempt{Group: "default", RunID: "a~1795388654370168", Fence: "2", Until: inAnHour().Unix()})
	if err != nil {
		t.Fatal(err)
	}
	earlier, err := callbackKey(testKey).sign(attempt{Group: "default", RunID: "a~1795388654370168", Fence: "1", Until: inAnHour().Unix()})
	if err != nil {
		t.Fatal(err)
	}
	claims, signature, _ := strings.Cut(w.token, ".")
	for name, test := range map[string]struct {
		token  string
		status int
	}{
		"none": {"", 401}, "one of the gateway's": {"all", 401}, "one of another run": {other.token, 401}, "one of another key": {foreign, 401},
		"without a signature": {claims, 401}, "an empty signature": {claims + ".", 401}, "another's signature": {claims + other.token[strings.Index(other.token, "."):], 401},
		"no claims": {"." + signature, 401}, "a longer one": {w.token + "A", 401}, "no base64": {"!." + signature, 401},
		"one of an earlier attempt": {earlier, 410},
	} {
		headers := []string{"Authorization", "Bearer " + test.token}
		if test.token == "" {
			headers = nil
		}
		response := s.ask(t, "POST", w.path, `{}`, headers...)
		if response.StatusCode != test.status {
			t.Errorf("%s: got %d, want %d", name, response.StatusCode, test.status)
		}
	}
	w.took(t)
}

func TestWhoMayPublishButHasNoTokenEndsNoRun(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{})
	w := s.await(t, "a~1795388654370168", "1", inAnHour())
	reply, err := s.nc.Request(s.subjects.Callback("default", "a~1795388654370168"), []byte(`{}`), patience)
	if err != nil || !strings.Contains(string(reply.Data), reportNobody) {
		t.Errorf("got %v and %v", reply, err)
	}
	w.took(t)
}

func TestWhatIsNoCallbackIsRefused(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{})
	w := s.await(t, "a~1795388654370168", "1", inAnHour())
	bearer := []string{"Authorization", "Bearer " + w.token}
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
	}{
		"a GET": {"GET", w.path, "", bearer, 405}, "no JSON": {"POST", w.path, "{", bearer, 400}, "a parameter": {"POST", w.path + "?token=x", "{}", bearer, 400},
		"another content type": {"POST", w.path, "a=b", append(bearer, "Content-Type", "application/x-www-form-urlencoded"), 415},
		"too much":             {"POST", w.path, `"` + strings.Repeat("x", MaxReport) + `"`, bearer, 413},
		"no run":               {"POST", "/callback", "{}", append(bearer, HeaderToken, ""), 401},
		"two segments":         {"POST", w.path + "/x", "{}", []string{HeaderToken, "all"}, 404},
	} {
		if got := s.ask(t, test.method, test.path, test.body, test.headers...).StatusCode; got != test.status {
			t.Errorf("%s: got %d, want %d", name, got, test.status)
		}
	}
	w.took(t)
	without := newSite(t, open(GatewayConfig{}))
	checkProblem(t, without.ask(t, "POST", "/callback/a~1", "{}", bearer...), 404)
}

func TestAWorkerThatDoesNotAnswerMakesTheReceiverTryAgain(t *testing.T) {
	t.Parallel()
	s := newCallbackSite(t, CallbacksConfig{Timeout: 50 * time.Millisecond})
	frozen := make(chan struct{})
	address, token, stop, err := s.worker.Await("default", "a~1795388654370168", "1", inAnHour(), func([]byte) error { <-frozen; return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	w := &waiting{path: strings.TrimPrefix(address, s.server.URL()), token: token}
	response := s.send(t, w, `{}`)
	checkProblem(t, response, http.StatusServiceUnavailable)
	if response.Header.Get("Retry-After") == "" {
		t.Error("it does not say when")
	}
	close(frozen)
	until(t, "the worker that is back answers", func() bool {
		response = s.send(t, w, `{}`)
		return response.StatusCode == http.StatusAccepted
	})
	if answer := decode[callbackAnswer](t, response, http.StatusAccepted); !answer.Duplicate {
		t.Errorf("the report that was not answered is taken twice: %+v", answer)
	}
}

func TestWhereNATSIsAwayNothingIsAwaitedAndNothingLost(t *testing.T) {
	t.Parallel()
	server := testenv.StartNATS(t)
	nc := testenv.Connect(t, server.URL)
	worker := callbacks(t, nc, CallbacksConfig{Key: testKey, URL: "https://x.example/callback", Timeout: 50 * time.Millisecond})
	server.Stop()
	if _, _, _, err := worker.Await("default", "a~1", "1", inAnHour(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := worker.deliver(t.Context(), attempt{Group: "default", RunID: "a~1"}, "", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestCallbacksNameTheSettingAtFault(t *testing.T) {
	t.Parallel()
	nc, _ := testenv.NATS(t)
	for field, cfg := range map[string]CallbacksConfig{
		"key": {Key: []byte("short-secret")}, "url": {Key: testKey, URL: "https://user:short-secret@x.example"}, "prefix": {Key: testKey, Prefix: "A"},
	} {
		if _, err := NewCallbacks(nc, cfg); err == nil || !strings.Contains(err.Error(), field+":") || field == "key" && strings.Contains(err.Error(), "short-secret") {
			t.Errorf("%s: %v", field, err)
		}
	}
	c := callbacks(t, nc, CallbacksConfig{Key: testKey})
	for _, runID := range []string{"", "a.b", "*", ">", "a b"} {
		if _, _, _, err := c.Await("default", runID, "1", inAnHour(), nil); err == nil || !strings.Contains(err.Error(), "run_id") || !strings.Contains(err.Error(), "url") {
			t.Errorf("%q: %v", runID, err)
		}
	}
}

func FuzzACallbackTokenThatWasNotSignedIsNotOpened(f *testing.F) {
	good, err := callbackKey(testKey).sign(attempt{Group: "default", RunID: "a~1", Fence: "1", Until: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good + "=")
	f.Add(".")
	f.Fuzz(func(t *testing.T, token string) {
		a, err := callbackKey(testKey).open(token)
		if err == nil && token != good {
			t.Errorf("%q is opened as %+v", token, a)
		}
	})
}
