package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// job is a request that a receiver answered with 202.
type job struct {
	ID       string // webhook-id
	Attempt  int    `json:"attempt"`
	RunID    string `json:"run_id"`
	Callback struct {
		URL   string `json:"url"`
		Token string `json:"token"`
	} `json:"callback"`
}

// jobService is a service with long jobs: it answers 202 and repeats what it was sent.
func jobService(t *testing.T) (url string, jobs <-chan job) {
	t.Helper()
	taken := make(chan job, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		j := job{ID: r.Header.Get("webhook-id")}
		if err := json.Unmarshal(body, &j); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(body)
		taken <- j
	}))
	t.Cleanup(server.Close)
	return server.URL, taken
}

func next(t *testing.T, jobs <-chan job) job {
	t.Helper()
	select {
	case j := <-jobs:
		return j
	case <-time.After(patience):
		t.Fatal("no request has come")
		return job{}
	}
}

// report tells the end of a job, as the receiver would.
func (j job) report(t *testing.T, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, j.Callback.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+j.Callback.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// wants reports and fails the test unless the answer is that. Where the gateway is not certain, it reports again.
func (j job) wants(t *testing.T, status int, body, says string) {
	t.Helper()
	var got int
	var answer string
	pollUntil(t, "the report is answered", func() bool {
		got, answer = j.report(t, body)
		return got != http.StatusServiceUnavailable
	})
	if got != status || !strings.Contains(answer, says) {
		t.Errorf("reported %s: got %d %s, want %d and %q", body, got, answer, status, says)
	}
}

// callbackStand is a gateway, and settings with which workers take callbacks through it.
func callbackStand(t *testing.T) (s *stand, settings []string) {
	t.Helper()
	s = newStand(t)
	key := "SYSTOLE_CALLBACK__KEY=" + strings.Repeat("callback-key-", 4)
	g := s.start("gateway", "gateway", key)
	g.awaitReady()
	return s, []string{key, "SYSTOLE_CALLBACK__URL=" + g.url("gateway") + "/callback", "SYSTOLE_EXECUTOR__HTTP__ALLOW=127.0.0.0/8", "SYSTOLE_WORKER__LEASE=" + lease.String()}
}

func (s *stand) putJob(name, url string, change ...func(*store.DataFlow)) {
	s.t.Helper()
	flow := store.DataFlow{Name: name, HTTP: &store.HTTPSpec{URL: url, Callback: true}}
	for _, c := range change {
		c(&flow)
	}
	s.putFlow(flow)
}

func (s *stand) run(id string) store.Run {
	s.t.Helper()
	run, err := s.store.Run(s.t.Context(), store.DefaultGroup, id)
	if err != nil {
		s.t.Fatal(err)
	}
	return run
}

// ended waits until a run has.
func (s *stand) ended(id string) (run store.Run) {
	s.t.Helper()
	pollUntil(s.t, id+" ends", func() bool { run = s.run(id); return run.Status.Final() })
	return run
}

func TestARunStaysOpenUntilItsCallbackAndEndsAsThatSays(t *testing.T) {
	t.Parallel()
	s, settings := callbackStand(t)
	url, jobs := jobService(t)
	s.putJob("long", url)
	w := s.worker("w1", settings...)
	w.awaitReady()
	s.publish("")
	long := next(t, jobs)
	begun := s.now()
	pollUntil(t, "more time has passed than a lease has", func() bool { return s.now().Sub(begun) > lease+time.Second })
	if run := s.run(long.RunID); run.Status != store.StatusInProgress || run.Attempt != 1 {
		t.Errorf("the run is %+v", run)
	}
	long.wants(t, http.StatusBadRequest, `{"status":"done"}`, `status: found \"done\", allowed is success or failed`)
	long.wants(t, http.StatusAccepted, `{"message":"7 orders","cursor":{"after":41},"output":"a line of the job"}`, `"status":"accepted"`)
	run := s.ended(long.RunID)
	if run.Status != store.StatusSuccess || run.Message != "7 orders" {
		t.Errorf("the run is %+v", run)
	}
	long.wants(t, http.StatusAccepted, `{"message":"7 orders","cursor":{"after":41},"output":"a line of the job"}`, `"duplicate":true`)
	long.wants(t, http.StatusConflict, `{"status":"failed"}`, "another report")
	log, err := s.store.RunLog(t.Context(), store.DefaultGroup, run.ID)
	if err != nil || !strings.Contains(string(log), "a line of the job") || !strings.Contains(string(log), "[redacted]") {
		t.Errorf("the log is %s (%v)", log, err)
	}
	if all := s.everythingInRedis() + w.everything(); strings.Contains(all, long.Callback.Token) {
		t.Error("the token is in Redis or in a log")
	}

	s.putJob("broken", url)
	s.publish("")
	next(t, jobs).wants(t, http.StatusAccepted, `{"status":"failed","error":"no such table","permanent":true}`, "accepted")
	s.settled(2)
	if failed := s.runs(store.RunFilter{Flow: "broken"}); len(failed) != 1 || failed[0].Status != store.StatusFailed || failed[0].Error != "no such table" {
		t.Errorf("the run that failed is %+v", failed)
	}
}

func TestACallbackWhoseWorkerDiedIsGoneAndTheNextAttemptGetsItsOwn(t *testing.T) {
	t.Parallel()
	s, settings := callbackStand(t)
	url, jobs := jobService(t)
	s.putJob("long", url)
	first := s.worker("w1", settings...)
	first.awaitReady()
	s.publish("")
	lost := next(t, jobs)
	first.kill()
	lost.wants(t, http.StatusGone, `{}`, "nobody waits")
	s.worker("w2", settings...)
	again := next(t, jobs)
	if again.ID != lost.ID || again.Attempt != 2 || again.Callback.Token == lost.Callback.Token {
		t.Errorf("first %+v, then %+v", lost, again)
	}
	again.wants(t, http.StatusAccepted, `{}`, "accepted")
	if run := s.ended(again.RunID); run.Status != store.StatusSuccess || run.Worker != "w2" {
		t.Errorf("the run is %+v", run)
	}
	lost.wants(t, http.StatusGone, `{}`, "nobody waits")
}

func TestACallbackThatDoesNotComeEndsTheRunAtItsTimeout(t *testing.T) {
	t.Parallel()
	s, settings := callbackStand(t)
	url, jobs := jobService(t)
	s.putJob("slow", url, func(f *store.DataFlow) { f.Timeout = store.Duration(5 * time.Second) })
	s.worker("w1", settings...).awaitReady()
	s.publish("")
	slow := next(t, jobs)
	run := s.ended(slow.RunID)
	if run.Status != store.StatusFailed || run.Reason != store.ReasonTimeout || !strings.Contains(run.Error, "no callback came") {
		t.Errorf("the run is %+v", run)
	}
	slow.wants(t, http.StatusGone, `{}`, "")
}

func TestAFlowWithACallbackIsRefusedByAWorkerThatCanTakeNone(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.putJob("long", "http://127.0.0.1:9")
	s.worker("w1", "SYSTOLE_EXECUTOR__HTTP__ALLOW=127.0.0.0/8").awaitReady()
	s.publish("")
	s.settled(1)
	if run := s.runs(store.RunFilter{})[0]; run.Reason != store.ReasonRefused || !strings.Contains(run.Error, "callback.url") {
		t.Errorf("the run is %+v", run)
	}
}

// dev needs no settings for callbacks.
func TestCallbacksWorkInDev(t *testing.T) {
	t.Parallel()
	url, jobs := jobService(t)
	flows := folder(t, map[string]string{"a.yaml": "name: long\nevery: 1h\nhttp: {url: \"" + url + "\", callback: true}\n"})
	dev := startDev(t, nil, "--flows", flows)
	ended := make(chan answer, 1)
	go func() { ended <- run(t, against(dev), "beat", "--wait", "1m") }()
	next(t, jobs).wants(t, http.StatusAccepted, `{"message":"done"}`, "accepted")
	(<-ended).expect(t, exitFine, `"succeeded":1`)
}
