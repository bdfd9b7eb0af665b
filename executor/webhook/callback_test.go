package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/webhook"
	"github.com/systole-run/systole/store"
)

// desk takes reports for one run at a time.
type desk struct {
	take    func([]byte) error
	waiting atomic.Bool
	err     error
}

const deskToken = "t0ken-of-the-desk"

func (d *desk) Await(group, runID, fence string, until time.Time, take func([]byte) error) (url, token string, stop func(), err error) {
	if group != "default" || runID != "orders~1" || fence != "1700000000000000" || !until.Equal(now.Add(time.Hour)) {
		return "", "", nil, fmt.Errorf("asked for %s %s %s %s", group, runID, fence, until)
	}
	d.take = take
	d.waiting.Store(true)
	return "https://systole.example/callback/orders~1", deskToken, func() { d.waiting.Store(false) }, d.err
}

func newCallbackFixture(t *testing.T, handler func(d *desk, w http.ResponseWriter, r *http.Request)) (*fixture, *desk) {
	t.Helper()
	d := &desk{}
	f := newFixtureOf(t, webhook.Config{Callbacks: d}, func(w http.ResponseWriter, r *http.Request) { handler(d, w, r) })
	f.task.Flow.HTTP.Callback = true
	f.task.Deadline = now.Add(time.Hour)
	return f, d
}

func TestA202LeavesTheRunOpenUntilTheReport(t *testing.T) {
	t.Parallel()
	reported := make(chan error, 1)
	f, d := newCallbackFixture(t, func(d *desk, w http.ResponseWriter, r *http.Request) {
		var body webhook.Body
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Callback == nil || body.Callback.URL != "https://systole.example/callback/orders~1" || body.Callback.Token != deskToken {
			t.Errorf("the body has %+v (%v)", body.Callback, err)
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, "working with ", body.Callback)
		go func() { reported <- d.take([]byte(`{"message":"7 orders","cursor":42,"output":"a line"}`)) }()
	})
	result, log := f.run(t)
	if err := <-reported; err != nil {
		t.Fatal(err)
	}
	if result.Err != nil || result.Message != "7 orders" || result.Cursor == nil || *result.Cursor != "42" {
		t.Errorf("got %+v", result)
	}
	if !strings.Contains(log, "waiting for the callback\ncallback: success\na line\n") || strings.Contains(log, deskToken) {
		t.Errorf("the log is %q", log)
	}
	if d.waiting.Load() {
		t.Error("a report is still taken")
	}
}

func TestWhatARunWithACallbackComesTo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code    int
		report  string // sent before the answer; none if empty
		message string
		err     string
		final   bool
	}{
		"an answer that needs no callback":     {200, "", "answered", "", false},
		"an answer that fails":                 {500, "", "", "answered 500", false},
		"an answer that fails for good":        {400, "", "", "answered 400", true},
		"a report before the 202":              {202, `{"message":"reported"}`, "reported", "", false},
		"a report before another success":      {200, `{"message":"reported"}`, "reported", "", false},
		"a report, and then a broken answer":   {502, `{"message":"reported"}`, "reported", "", false},
		"a report of a failure":                {202, `{"status":"failed","error":"no such table"}`, "", "no such table", false},
		"a report of a failure for good":       {202, `{"status":"failed","error":"no such table","permanent":true}`, "", "no such table", true},
		"a report of a failure without a word": {202, `{"status":"failed"}`, "", "no error", false},
		"an empty report":                      {202, ` {} `, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, d := newCallbackFixture(t, func(d *desk, w http.ResponseWriter, _ *http.Request) {
				if test.report != "" {
					if err := d.take([]byte(test.report)); err != nil {
						t.Error(err)
					}
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.code)
				fmt.Fprint(w, `{"message":"answered"}`)
			})
			result, _ := f.run(t)
			if (result.Err == nil) != (test.err == "") || result.Err != nil && !strings.Contains(result.Err.Error(), test.err) || result.Message != test.message || result.Permanent != test.final {
				t.Errorf("got %+v", result)
			}
			if d.waiting.Load() {
				t.Error("a report is still taken")
			}
		})
	}
}

func TestAReportThatIsNoneIsRefusedAndTheRunStaysOpen(t *testing.T) {
	t.Parallel()
	f, _ := newCallbackFixture(t, func(d *desk, w http.ResponseWriter, _ *http.Request) {
		for body, says := range map[string]string{
			`[]`: "allowed", `{"state":"done"}`: "state", `{"status":"done"}`: `found "done", allowed is success or failed`, `{"status":"failed","message":"a"}`: "beside a failure",
			`{"error":"a"}`: "beside a success", `{"cursor":1,"status":"failed"}`: "beside a failure", `{"message":1}`: "message", `{"message":"a","message":"b"}`: "message",
		} {
			if err := d.take([]byte(body)); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, want one that says %q", body, err, says)
			}
		}
		w.WriteHeader(http.StatusAccepted)
		if err := d.take(nil); err != nil {
			t.Error(err)
		}
	})
	if result, _ := f.run(t); result.Err != nil {
		t.Errorf("got %+v", result)
	}
}

func TestARunThatWaitsForACallbackEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for reason, cause := range map[string]error{
		store.ReasonTimeout: executor.ErrTimeout, store.ReasonCancelled: executor.ErrCancelled, store.ReasonHandedBack: executor.ErrDraining,
	} {
		f, d := newCallbackFixture(t, func(_ *desk, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
		ctx, cancel := context.WithCancelCause(t.Context())
		f.task.Log = onWaiting(func() { cancel(cause) })
		result := f.Execute(ctx, f.task)
		cancel(nil)
		if result.Reason != reason || !errors.Is(result.Err, cause) || !strings.Contains(result.Err.Error(), "no callback came") || d.waiting.Load() {
			t.Errorf("got %+v", result)
		}
	}
}

// onWaiting is a log that calls a function once the run waits for its callback.
type onWaiting func()

func (o onWaiting) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "waiting for the callback") {
		o()
	}
	return len(p), nil
}

func TestACallbackThatCannotBeTakenIsNoReasonToSendTheRequest(t *testing.T) {
	t.Parallel()
	f, d := newCallbackFixture(t, func(*desk, http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	d.err = errors.New("NATS is away")
	if result, _ := f.run(t); result.Reason != store.ReasonRefused || result.Permanent || !strings.Contains(result.Err.Error(), "NATS is away") {
		t.Errorf("got %+v", result)
	}
	without := newFixture(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	without.task.Flow.HTTP.Callback = true
	if result, _ := without.run(t); result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), "callback.key") {
		t.Errorf("got %+v", result)
	}
}
