//go:build compose

package deploytest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// killWorker kills a worker that is running something. Another one takes the run's occurrence over, and the engine starts the worker again.
func (l *load) killWorker(ctx context.Context, t *testing.T) {
	t.Helper()
	defer l.fault()()
	container, lost := l.busyWorker(ctx, t)
	l.stack.crash(ctx, t, container)
	l.isTakenOver(ctx, t, lost)
}

// cutWorkerOff takes a worker off its networks while it is running something. It can tell nobody and hear nobody, and goes
// on; another one takes its run over. Back on its networks, it works on.
func (l *load) cutWorkerOff(ctx context.Context, t *testing.T) {
	t.Helper()
	defer l.fault()()
	container, lost := l.busyWorker(ctx, t)
	networks := strings.Fields(inspect(ctx, t, container, "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"))
	slices.Reverse(networks) // that of Redis, state, is the first to go
	for _, network := range networks {
		run(ctx, t, nil, "docker", "network", "disconnect", network, container)
	}
	l.isTakenOver(ctx, t, lost)
	for _, network := range networks {
		run(ctx, t, nil, "docker", "network", "connect", "--alias", "worker", network, container) // the name that Compose gave it
	}
	l.runsOn(ctx, t, 3)
}

// killServer kills the only container of a service. The engine starts it again, and flows go on.
func (l *load) killServer(ctx context.Context, t *testing.T, service string) {
	t.Helper()
	defer l.fault()()
	l.stack.crash(ctx, t, l.stack.containers(ctx, t, service)[0])
	l.runsOn(ctx, t, 3)
}

// fault begins a time in which something is broken. What it gives ends it, two leases after all looked well again.
func (l *load) fault() (end func()) {
	from := time.Now().Add(-time.Second) // effects tell whole seconds
	return func() { l.faults = append(l.faults, window{from, time.Now().Add(12 * time.Second)}) }
}

// busyWorker gives a worker's container and a run that it has in hand at this moment.
func (l *load) busyWorker(ctx context.Context, t *testing.T) (container string, held store.Run) {
	t.Helper()
	workers := l.stack.containers(ctx, t, "worker")
	eventually(ctx, t, func() string {
		for run, err := range l.console.Runs(ctx, store.DefaultGroup, store.RunFilter{Status: store.StatusInProgress}) {
			if err != nil {
				t.Fatal(err)
			}
			if run.StartedAt == nil || time.Since(*run.StartedAt) > 700*time.Millisecond {
				continue // it may have ended before anything reaches its worker
			}
			for _, worker := range workers {
				if strings.HasPrefix(run.Worker, worker[:12]) { // the host's name
					container, held = worker, run
					return ""
				}
			}
		}
		return "no worker has just begun a run"
	})
	return container, held
}

// isTakenOver waits until the record of a run says that its lease was lost, and another run has done its work.
func (l *load) isTakenOver(ctx context.Context, t *testing.T, lost store.Run) {
	t.Helper()
	eventually(ctx, t, func() string {
		ended, recovered := false, false
		for run, err := range l.console.Runs(ctx, store.DefaultGroup, store.RunFilter{Flow: lost.Flow}) {
			switch {
			case err != nil:
				t.Fatal(err)
			case run.ID == lost.ID:
				ended = run.Status == store.StatusFailed && run.Reason == store.ReasonLeaseLost
				if run.Status == store.StatusSuccess {
					t.Fatalf("run %s of the lost worker ended as a success: the fault came too late", run.ID)
				}
			case run.OccurrenceID == lost.OccurrenceID:
				recovered = recovered || run.Status == store.StatusSuccess && run.Recovered && run.Worker != lost.Worker
			}
		}
		if !ended || !recovered {
			return fmt.Sprintf("run %s: ended as lease_lost: %v; done by another worker: %v", lost.ID, ended, recovered)
		}
		return ""
	})
}

// crash kills a container's first process from outside, as the kernel does where memory runs out, and waits until the
// engine has started the container again and it is well.
func (s *stack) crash(ctx context.Context, t *testing.T, container string) {
	t.Helper()
	restarts := inspect(ctx, t, container, "{{.RestartCount}}")
	pid, err := strconv.Atoi(inspect(ctx, t, container, "{{.State.Pid}}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill process %d of container %s: %v", pid, container, err)
	}
	eventually(ctx, t, func() string {
		state := inspect(ctx, t, container, "{{.RestartCount}} {{.State.Health.Status}}")
		if count, health, _ := strings.Cut(state, " "); count == restarts || health != "healthy" {
			return fmt.Sprintf("restarts and health are %q, want more restarts than %s", state, restarts)
		}
		return ""
	})
}
