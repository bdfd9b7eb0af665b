package subprocess_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/store"
)

func TestCommandIsToldToStopWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cause  error
		reason string
	}{
		{executor.ErrTimeout, store.ReasonTimeout},
		{executor.ErrLeaseLost, store.ReasonLeaseLost},
		{executor.ErrDraining, store.ReasonHandedBack},
	} {
		t.Run(c.cause.Error(), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, `trap 'echo rolled back >&2; exit 0' TERM; echo 42 > "$SYSTOLE_CURSOR_OUT"; echo ready; while :; do sleep 0.05; done`,
				func(cfg *subprocess.Config) { cfg.KillGrace = time.Minute })
			result, _ := f.interrupt(t, c.cause)
			if result.Reason != c.reason || !errors.Is(result.Err, c.cause) || result.Cursor != nil || result.Permanent {
				t.Errorf("got %+v", result)
			}
			// In between, the shell says that its sleep was terminated: the whole group was told.
			text, want := result.Err.Error(), c.cause.Error()+": command ended with exit code 0 when told to stop: "
			if !strings.HasPrefix(text, want) || !strings.HasSuffix(text, "rolled back") {
				t.Errorf("error is %q, want it to start with %q", text, want)
			}
		})
	}
}

func TestCommandThatIgnoresTERMIsKilledAfterTheGrace(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `trap '' TERM; echo pid $$; echo ready; while :; do sleep 0.05; done`)
	result, log := f.interrupt(t, executor.ErrTimeout)
	if result.Reason != store.ReasonTimeout || !strings.Contains(result.Err.Error(), "did not end on SIGTERM and was killed") {
		t.Errorf("got %+v", result)
	}
	for _, pid := range pids(t, log) {
		if !gone(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}

func TestCommandThatIsStoppedIsKilledToo(t *testing.T) {
	t.Parallel()
	result, _ := newFixture(t, `echo ready; kill -STOP $$`).interrupt(t, executor.ErrTimeout)
	if result.Reason != store.ReasonTimeout {
		t.Errorf("got %+v", result)
	}
}

// family starts processes that ignore TERM in several generations, each printing its number, and waits until all are there.
const family = `
	trap '' TERM
	for i in 1 2 3; do
		sh -c 'echo pid $$; : >$$.started; sh -c "echo pid \$\$; : >\$\$.started; exec sleep 300" & exec sleep 300' &
	done
	until [ "$(ls | grep -c started)" -eq 6 ]; do sleep 0.02; done
`

func TestTheWholeGroupIsGoneAfterTheRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end   string
		cause error // nil where the command ends by itself
	}{
		"the command ended":  {"exit 0", nil},
		"the command failed": {"exit 1", nil},
		"its timeout passed": {"echo ready; sleep 300", executor.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, family+c.end)
			var log string
			if c.cause == nil {
				_, log = f.run(t)
			} else {
				_, log = f.interrupt(t, c.cause)
			}
			found := pids(t, log)
			if len(found) != 6 {
				t.Errorf("saw %d processes, want 6: %q", len(found), log)
			}
			eventually(t, fmt.Sprintf("the end of %v", found), func() bool {
				for _, pid := range found {
					if !gone(pid) {
						return false
					}
				}
				return true
			})
		})
	}
}

func TestGrandchildThatKeepsTheOutputOpenCannotHoldTheRun(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"in the group":              `sh -c 'echo pid $$; : >started; exec sleep 300' &`,
		"out of the group, quiet":   `setsid sh -c 'echo pid $$; : >started; exec sleep 300' &`,
		"out of the group, writing": `setsid sh -c 'echo pid $$; : >started; exec yes >&2' &`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, script+`until [ -e started ]; do sleep 0.02; done; echo last words`)
			output := &head{}
			f.task.Log = output
			start := time.Now()
			result := f.Execute(t.Context(), f.task)
			if took := time.Since(start); result.Err != nil || took > patience {
				t.Errorf("took %s, got %+v", took, result)
			}
			if !strings.Contains(output.String(), "last words") {
				t.Error("the command's own output is not in the log")
			}
			for _, pid := range pids(t, output.String()) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // one that left the group is out of the executor's reach
			}
		})
	}
}

// head keeps the first lines of an output.
type head struct {
	mu   sync.Mutex
	kept strings.Builder
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		if line != "y\n" && h.kept.Len() < 1<<10 {
			h.kept.WriteString(line)
		}
	}
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kept.String()
}

func TestFloodOfOutputIsBoundedAndDoesNotOutliveTheTimeout(t *testing.T) {
	t.Parallel()
	t.Run("that ends", func(t *testing.T) {
		t.Parallel()
		result, log := newFixture(t, "yes 0123456789 | head -c 50000000; echo; echo the end").run(t)
		if result.Err != nil || len(log) > executor.DefaultLogBytes+100 {
			t.Errorf("log of %d bytes, %v", len(log), result.Err)
		}
		if !strings.HasPrefix(log, "… 4993") || !strings.HasSuffix(log, "the end\n") {
			t.Errorf("log is %.40q to %q", log, log[len(log)-20:])
		}
	})
	t.Run("that never ends", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, "exec yes ready")
		result, log := f.interrupt(t, executor.ErrTimeout)
		if result.Reason != store.ReasonTimeout || len(log) > executor.DefaultLogBytes+100 {
			t.Errorf("log of %d bytes, %+v", len(log), result)
		}
	})
}

// The kernel ties PDEATHSIG to the thread that started the command: a thread that ends must not take commands along.
func TestCommandSurvivesTheEndOfOtherThreads(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sleep 0.5")
	ctx, cancel := context.WithCancel(t.Context())
	var threads sync.WaitGroup
	for range 4 {
		threads.Go(func() {
			for ctx.Err() == nil {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
				}()
				<-ended
			}
		})
	}
	result, _ := f.run(t)
	cancel()
	threads.Wait()
	if result.Err != nil {
		t.Errorf("got %+v", result)
	}
}
