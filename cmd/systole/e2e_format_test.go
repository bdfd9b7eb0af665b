package main

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// R5.5: a worker that is older than the data in Redis does not start, and doctor says why.
func TestAWorkerThatIsOlderThanTheDataDoesNotStart(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	client := redis.NewClient(&redis.Options{Addr: s.redis.Addr})
	defer client.Close()
	if err := client.HSet(t.Context(), "systole:{deployment}:meta", "format", 1000).Err(); err != nil {
		t.Fatal(err)
	}
	if status := s.worker("old").status(); status != exitFailed {
		t.Errorf("it ends with %d", status)
	}
	doctor := spawn(t, "doctor", []string{"doctor"}, s.environ("worker")...)
	if status := doctor.status(); status != exitFailed || !strings.Contains(doctor.output(), "format that this version does not know") {
		t.Errorf("doctor ends with %d and says\n%s", status, doctor.output())
	}
}
