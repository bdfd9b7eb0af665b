//go:build compose

package deploytest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// flows is how many flows are in the folder flows. Each takes two seconds and each worker has two slots, so that one
// worker alone would need twelve seconds, in which the others do not stand by.
const flows = 12

// runs is what the console answers to GET /api/v1/runs, as far as this test looks.
type runs struct {
	Runs []struct {
		ID, Flow, Status, Worker, Error string
		Attempt                         int
		BeatID                          string `json:"beat_id"`
	}
}

// R4.4 R6.4 R6.5 R6.7: nothing but cron's container sends a heartbeat here.
func TestComposeHeartbeatFromCronRunsFlowsOnAllThreeWorkers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	s := newStack(ctx, t)
	s.do(ctx, t, "build")
	s.do(ctx, t, "up", "--detach", "--no-build", "--scale", "worker=3")
	console := s.address(ctx, t, "console", "8081")

	// What an operator would look at: every container says of itself that it is well, and the flows have been loaded.
	for service, want := range map[string][]string{
		"gateway": {"running healthy"}, "console": {"running healthy"}, "redis": {"running healthy"}, "nats": {"running healthy"},
		"worker":    {"running healthy", "running healthy", "running healthy"},
		"scheduler": {"running 0"}, "apply": {"exited 0"},
	} {
		eventually(ctx, t, time.Minute, func() string {
			if got := s.states(ctx, t, service); !slices.Equal(got, want) {
				return fmt.Sprintf("containers of %s are %q, want %q", service, got, want)
			}
			return ""
		})
	}

	// cron's next minute, and the time that the runs take.
	var listed runs
	eventually(ctx, t, 100*time.Second, func() string {
		if status := call(ctx, t, http.MethodGet, console+"/api/v1/runs?limit=100", s.token(t, "api_token"), &listed); status != http.StatusOK {
			t.Fatalf("the console answered %d", status)
		}
		succeeded := 0
		for _, run := range listed.Runs {
			if run.Status == "failed" {
				t.Fatalf("run failed: %+v", run)
			}
			if run.Status == "success" {
				succeeded++
			}
		}
		if succeeded < flows {
			return fmt.Sprintf("%d of %d flows have run", succeeded, flows)
		}
		return ""
	})
	byWorker, byFlow := map[string]int{}, map[string]int{}
	for _, run := range listed.Runs {
		byWorker[run.Worker]++
		byFlow[run.Flow+" "+run.BeatID]++
	}
	t.Logf("runs by worker: %v", byWorker)
	if len(byWorker) != 3 {
		t.Errorf("%d workers ran flows, want all 3: %v", len(byWorker), byWorker)
	}
	for flow, times := range byFlow {
		if times != 1 {
			t.Errorf("flow and beat %q ran %d times, want once", flow, times)
		}
	}

	s.refusesStrangers(ctx, t)
	s.drains(ctx, t)
	s.keepsItsSecrets(ctx, t)
}

// refusesStrangers sends requests to the published ports, as anyone who can reach them might.
func (s *stack) refusesStrangers(ctx context.Context, t *testing.T) {
	t.Helper()
	for url, tokens := range map[string][]string{
		s.address(ctx, t, "gateway", "8080") + "/heartbeat":    {"", "wrong", s.token(t, "api_token")},
		s.address(ctx, t, "console", "8081") + "/api/v1/flows": {"", "wrong", s.token(t, "heartbeat_token")},
	} {
		for i, token := range tokens {
			var problem struct{ Title string }
			if status := call(ctx, t, http.MethodGet, url, token, &problem); status != http.StatusUnauthorized {
				t.Errorf("%s answered %d to the %d. wrong token, want 401", url, status, i)
			}
		}
	}
}

// drains stops the workers as an upgrade would: each ends by itself, well before the engine would kill it.
func (s *stack) drains(ctx context.Context, t *testing.T) {
	t.Helper()
	s.do(ctx, t, "stop", "scheduler", "worker")
	for _, state := range s.states(ctx, t, "worker") {
		if !strings.HasPrefix(state, "exited ") {
			t.Errorf("a stopped worker is %q", state)
		}
	}
	ids := strings.Fields(s.do(ctx, t, "ps", "-a", "-q", "worker"))
	codes := run(ctx, t, nil, "docker", append([]string{"inspect", "--format", "{{.State.ExitCode}}"}, ids...)...)
	if got := strings.Fields(codes); !slices.Equal(got, []string{"0", "0", "0"}) {
		t.Errorf("exit codes of the stopped workers are %v, want 0 of each", got)
	}
}

// keepsItsSecrets looks for the tokens in all that was logged.
func (s *stack) keepsItsSecrets(ctx context.Context, t *testing.T) {
	t.Helper()
	logs := s.do(ctx, t, "logs", "--no-color")
	for _, name := range []string{"heartbeat_token", "api_token"} {
		if strings.Contains(logs, s.token(t, name)) {
			t.Errorf("the %s is in the logs", name)
		}
	}
	if !strings.Contains(logs, `"status":"accepted"`) {
		t.Error("the logs do not hold the gateway's answer to cron's heartbeat, so this looked at nothing")
	}
}
