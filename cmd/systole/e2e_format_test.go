package main

import (
	"strings"
	"testing"
	"time"
)

// R5.5: a worker that is older than the data in Redis does not start, and doctor says why.
func TestAWorkerThatIsOlderThanTheDataDoesNotStart(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	if err := s.deployed.Redis(t, s.redis, "operator").HSet(t.Context(), "systole:{deployment}:meta", "format", 1000).Err(); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-launch(t, s.environ("worker"), "worker").code:
		if code != exitFailed {
			t.Errorf("it ends with %d", code)
		}
	case <-time.After(patience):
		t.Error("it works on data that it does not know")
	}
	doctor := spawn(t, "doctor", []string{"doctor"}, s.environ("worker")...)
	if status := doctor.status(); status != exitFailed || !strings.Contains(doctor.output(), "format that this version does not know") {
		t.Errorf("doctor ends with %d and says\n%s", status, doctor.output())
	}
}
