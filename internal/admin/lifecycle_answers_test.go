package admin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/admin"
	"github.com/systole-run/systole/store"
)

// scripted is a store that notes what it is asked, and answers what it was told to.
type scripted struct {
	admin.Store
	run    store.Run
	dead   []string
	err    error
	called []string
}

func (s *scripted) note(call string, args ...any) error {
	s.called = append(s.called, strings.TrimSpace(call+" "+fmt.Sprintln(args...)))
	return s.err
}

func (s *scripted) PauseFlow(_ context.Context, group, name, reason string) error {
	return s.note("pause", group+"/"+name, reason)
}

func (s *scripted) ResumeFlow(_ context.Context, group, name string) error {
	return s.note("resume", group+"/"+name)
}

func (s *scripted) CancelRun(_ context.Context, group, id, reason string) (store.Run, error) {
	return s.run, s.note("cancel", group+"/"+id, reason)
}

func (s *scripted) RetryRun(_ context.Context, group, id string) (string, error) {
	return "a~2", s.note("retry", group+"/"+id)
}

func (s *scripted) RetryDead(_ context.Context, group, id string) (string, error) {
	if err := s.note("retry dead", group+"/"+id); err != nil || slices.Contains(s.dead, id) {
		return "a~2", err
	}
	return "", store.ErrNotFound
}

func (s *scripted) Slots(_ context.Context, group, flow string, limit int) ([]store.SlotRange, error) {
	return nil, s.note("slots", group+"/"+flow, limit)
}

func (s *scripted) SlotAt(_ context.Context, group, flow string, at time.Time) (store.SlotRange, error) {
	return store.SlotRange{From: at, To: at, Count: 1, Outcome: "missed"}, s.note("slot", group+"/"+flow, at.UTC().Format(time.RFC3339))
}

// Dead gives one to a page.
func (s *scripted) Dead(_ context.Context, _ string, _ int, after string) ([]store.Run, string, error) {
	next := slices.Index(s.dead, after) + 1
	if next == len(s.dead) {
		return nil, "", s.err
	}
	return []store.Run{{ID: s.dead[next]}}, s.dead[next], s.err
}

func (s *scripted) PurgeDead(_ context.Context, group string, ids []string) (int, error) {
	purged := 0
	for _, id := range s.dead {
		if ids == nil || slices.Contains(ids, id) {
			purged++
		}
	}
	s.called = append(s.called, fmt.Sprint("purge ", group, " ", ids))
	return purged, s.err
}

// hints notes whom the workers were told of.
type hints struct {
	wakes
	cancelled []string
	err       error
}

func (h *hints) Cancel(group, runID string) error {
	h.cancelled = append(h.cancelled, group+"/"+runID)
	return h.err
}

// exchange sends one request to an open API over st.
func exchange(t *testing.T, st admin.Store, wake admin.Waker, method, path, body string) (answer, *syncBuffer) {
	t.Helper()
	log := &syncBuffer{}
	api, err := admin.New(admin.Config{AllowAnonymous: true, Logger: slog.New(slog.NewTextHandler(log, nil))}, st, wake)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	api.Handler().ServeHTTP(recorder, request)
	return answer{recorder.Code, recorder.Header(), strings.TrimSpace(recorder.Body.String())}, log
}

func TestWhatIsAskedReachesTheStoreAndIsLogged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, path, body string
		called             string
		status             int
		answer, log        string
	}{
		{"POST", "/api/v1/flows/a/pause", `{"reason":"moving"}`, "pause default/a moving", 204, "", `msg="flow paused" group=default flow=a reason=moving principal=`},
		{"POST", "/api/v1/flows/a/pause?group=shop", "", "pause shop/a", 204, "", `msg="flow paused" group=shop`},
		{"POST", "/api/v1/flows/a/resume", "", "resume default/a", 204, "", `msg="flow resumed" group=default flow=a principal=`},
		{"POST", "/api/v1/runs/a~1/cancel", `{"reason":"wrong day"}`, "cancel default/a~1 wrong day", 200, `{"run_id":"a~1","status":"in_progress","cancel_requested":true}`, `msg="run cancelled" group=default flow=a run_id=a~1`},
		{"POST", "/api/v1/runs/a~1/retry", "", "retry default/a~1", 202, `{"run_id":"a~2"}`, `run_id=a~2 retry_of=a~1 principal=`},
		{"GET", "/api/v1/flows/a/slots", "", "slots default/a 100", 200, `{"slots":[]}`, ""},
		{"GET", "/api/v1/flows/a/slots?limit=5&group=shop", "", "slots shop/a 5", 200, `{"slots":[]}`, ""},
		{"GET", "/api/v1/flows/a/slots?at=2026-11-22T15:05:00%2B01:00", "", "slot default/a 2026-11-22T14:05:00Z", 200, `{"slots":[{"from":"2026-11-22T15:05:00+01:00"`, ""},
		{"POST", "/api/v1/dead/d~2/retry", "", "retry dead default/d~2", 202, `{"run_id":"a~2"}`, `retry_of=d~2`},
		{"POST", "/api/v1/dead/d~9/retry", "", "retry dead default/d~9", 404, "", ""},
		{"DELETE", "/api/v1/dead/d~2", "", "purge default [d~2]", 200, `{"purged":1}`, `msg="dead occurrences purged" group=default count=1 run_id=d~2 principal=`},
		{"DELETE", "/api/v1/dead/d~9", "", "purge default [d~9]", 404, "", ""},
		{"DELETE", "/api/v1/dead?all=true", "", "purge default []", 200, `{"purged":2}`, "count=2"},
		{"DELETE", "/api/v1/dead", "", "", 400, "", ""},
	} {
		st := &scripted{run: store.Run{ID: "a~1", Flow: "a", Status: store.StatusInProgress, CancelRequested: true, Error: "secret"}, dead: []string{"d~1", "d~2"}}
		a, log := exchange(t, st, nil, test.method, test.path, test.body)
		if a.status != test.status || (test.answer == "" && a.status < 300) != (a.body == "") || !strings.HasPrefix(a.body, test.answer) {
			t.Errorf("%s %s: got %d %q, want %d %q", test.method, test.path, a.status, a.body, test.status, test.answer)
		}
		if called := strings.Join(st.called, ","); called != test.called {
			t.Errorf("%s %s: the store was asked %q, want %q", test.method, test.path, called, test.called)
		}
		if !strings.Contains(log.String(), test.log) || (test.log == "" && log.String() != "") {
			t.Errorf("%s %s: the log is %q, want %q", test.method, test.path, log, test.log)
		}
	}
}

func TestWhatTheStoreRefusesHasAStatusOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path   string
		err    error
		status int
		detail string
	}{
		{"/api/v1/flows/a/pause", store.ErrNotFound, 404, "not found"},
		{"/api/v1/flows/a/resume", store.ErrNotFound, 404, "not found"},
		{"/api/v1/runs/a~1/cancel", store.ErrNotFound, 404, "not found"},
		{"/api/v1/runs/a~1/cancel", store.ErrEnded, 409, "the run has ended, so there is nothing to cancel"},
		{"/api/v1/runs/a~1/cancel", store.ErrUnavailable, 503, "may have taken effect"},
		{"/api/v1/runs/a~1/retry", store.ErrNotFound, 404, "not found"},
		{"/api/v1/runs/a~1/retry", store.ErrNotEnded, 409, "the run has not ended; only a finished run can be retried"},
		{"/api/v1/runs/a~1/retry", store.ErrQueueFull, 429, "too many run-nows"},
		{"/api/v1/dead/a~1/retry", store.ErrUnavailable, 503, "may have taken effect"},
	} {
		woken := &hints{}
		a, _ := exchange(t, &scripted{err: fmt.Errorf("run a~1: %w", test.err)}, woken, "POST", test.path, "")
		if problem := a.problem(t); a.status != test.status || !strings.Contains(problem.Detail, test.detail) {
			t.Errorf("%s with %v: got %d %+v, want %d %q", test.path, test.err, a.status, problem, test.status, test.detail)
		}
		if woken.String() != "" || woken.cancelled != nil {
			t.Errorf("%s with %v: workers were told", test.path, test.err)
		}
	}
}

func TestWorkersAreToldOfWhatTheyAreToEndOrRepeat(t *testing.T) {
	t.Parallel()
	running, pending := store.Run{Flow: "a", Status: store.StatusInProgress}, store.Run{Flow: "a", Status: store.StatusCancelled}
	for _, test := range []struct {
		path      string
		run       store.Run
		err       error
		cancelled string
		woken     string
		log       string
	}{
		{"/api/v1/runs/a~1/cancel?group=shop", running, nil, "[shop/a~1]", "", ""},
		{"/api/v1/runs/a~1/cancel", pending, nil, "[]", "", ""},
		{"/api/v1/runs/a~1/cancel", running, errors.New("nobody listens"), "[default/a~1]", "", "workers were not told to end a run"},
		{"/api/v1/runs/a~1/retry?group=shop", running, nil, "[]", "shop", ""},
		{"/api/v1/dead/a~1/retry", running, nil, "[]", "default", ""},
	} {
		told := &hints{err: test.err}
		a, log := exchange(t, &scripted{run: test.run, dead: []string{"a~1"}}, told, "POST", test.path, "")
		if a.status > 299 || fmt.Sprint(told.cancelled) != test.cancelled || told.String() != test.woken || !strings.Contains(log.String(), test.log) {
			t.Errorf("%s: answered %d; told to cancel are %v, want %s; woken are %q, want %q\n%s", test.path, a.status, told.cancelled, test.cancelled, told, test.woken, log)
		}
	}
}
