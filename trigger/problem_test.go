package trigger

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// R2.4
func TestEveryErrorHasItsStatus(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
	}{
		{errAddress, 403},
		{ErrNoCredential, 401},
		{ErrBadCredential, 401},
		{ErrForbidden, 403},
		{errNotFound, 404},
		{ErrUnavailable, 503},
		{InvalidError{{Field: "a"}}, 400},
		{errors.New("nats: password is hunter2"), 500},
	} {
		answer := httptest.NewRecorder()
		problemOf(fmt.Errorf("do something: %w", test.err)).Write(answer, false)
		checkProblem(t, answer.Result(), test.status)
		if strings.Contains(answer.Body.String(), "hunter2") || strings.Contains(answer.Body.String(), "do something") {
			t.Errorf("%v: the answer tells of the inside: %s", test.err, answer.Body)
		}
	}
}

func TestRetryAfterIsInWholeSecondsAndNeverZero(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2"} {
		if got := NewProblem(http.StatusTooManyRequests, "").RetryAfter(wait).header.Get("Retry-After"); got != want {
			t.Errorf("%v: got %s, want %s", wait, got, want)
		}
	}
}
