package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/systole-run/systole/executor/supervisor"
)

func contextForever() context.Context { return context.Background() }

func TestCommandEndsAsItEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		script string
		code   int
		signal syscall.Signal
	}{{"echo fine", 0, 0}, {"echo fine; exit 7", 7, 0}, {"echo fine; kill -SEGV $$", -1, syscall.SIGSEGV}} {
		end, output := run(t, s, command(t, c.script))
		if end.Code != c.code || end.Signal != int(c.signal) || end.Killed != "" || output != "fine\n" {
			t.Errorf("%s: got %+v and %q", c.script, end, output)
		}
	}
}

func TestProgramThatCannotBeStartedIsAnErrorOfTheSystem(t *testing.T) {
	t.Parallel()
	s := start(t)
	missing, folder := command(t, ""), command(t, "")
	missing.Path, folder.Path = "/no/such/program", "/usr"
	if _, err := try(t, s, missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := try(t, s, folder); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a folder: %v", err)
	}
}

func TestCPUTimeAndPeakMemoryOfAllProcessesAreTold(t *testing.T) {
	t.Parallel()
	end, _ := run(t, start(t), command(t, `i=0; (while [ $i -lt 100000 ]; do i=$((i+1)); done); head -c 150000000 /dev/zero | tail -c 150000000 >/dev/null`))
	if end.Code != 0 || end.CPU < 10*time.Millisecond || end.Memory < 140<<20 {
		t.Errorf("got %+v", end)
	}
}

// A supervisor has some megabytes itself, those of a large program tens.
func TestCommandIsNotBlamedForTheMemoryOfItsSupervisor(t *testing.T) {
	t.Parallel()
	cmd := command(t, "exit 7")
	cmd.Limits.Memory = 4 << 20
	if end, _ := run(t, start(t), cmd); end.Code != 7 || end.Exceeded != nil || end.Memory > 4<<20 {
		t.Errorf("got %+v (exceeded %+v)", end, end.Exceeded)
	}
}

func TestNothingOfTheTreeOutlivesTheCommand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		last   string
		finish func(*job)
	}{
		"it ended":            {"exit 0", func(*job) {}},
		"it was killed":       {"sleep 300", (*job).Kill},
		"its deadline passed": {"sleep 300", func(j *job) { j.Extend(time.Now().Add(-time.Second)) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ways(t, func(t *testing.T, s *supervisor.Supervisor) {
				cmd := command(t, family+c.last)
				j := begin(t, s, cmd)
				eventually(t, "the family is there", func() bool { return exists(cmd.Dir, "ready") })
				c.finish(j)
				end, _ := j.wait()
				if pids := familyPIDs(t, cmd.Dir); !gone(pids...) {
					t.Errorf("some of %v live although the run has ended: %+v", pids, end)
				}
			})
		})
	}
}

func TestRunLivesAsLongAsItsDeadlineIsMoved(t *testing.T) {
	t.Parallel()
	cmd := command(t, "until [ -e done ]; do sleep 0.02; done; echo lived")
	cmd.Until = time.Now().Add(10 * time.Second)
	j := begin(t, start(t), cmd)
	for range 10 {
		j.Extend(time.Now().Add(time.Minute))
	}
	select {
	case <-j.Done():
		t.Fatalf("ended early: %+v", j.End())
	case <-time.After(time.Until(cmd.Until) + 300*time.Millisecond):
	}
	if err := os.WriteFile(cmd.Dir+"/done", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if end, output := j.wait(); end.Code != 0 || output != "lived\n" {
		t.Errorf("got %+v, %q", end, output)
	}
	cmd = command(t, "sleep 300")
	cmd.Until = time.Now().Add(300 * time.Millisecond)
	if end, _ := run(t, start(t), cmd); end.Killed != supervisor.KilledDeadline {
		t.Errorf("without: %+v", end)
	}
}

func TestOrphanIsEndedWithItsOwnRunAndNoOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	first, second := command(t, family+"sleep 300"), command(t, family+"sleep 300")
	one, two := begin(t, s, first), begin(t, s, second)
	for _, cmd := range []supervisor.Command{first, second} {
		eventually(t, "the families are there", func() bool { return exists(cmd.Dir, "ready") })
	}
	one.Kill()
	one.wait()
	if !gone(familyPIDs(t, first.Dir)...) {
		t.Error("the first family lives")
	}
	for _, pid := range familyPIDs(t, second.Dir) {
		if gone(pid) {
			t.Errorf("%d of the second family has ended, too", pid)
		}
	}
	two.Kill()
	two.wait()
	if !gone(familyPIDs(t, second.Dir)...) {
		t.Error("the second family lives")
	}
}

func TestTreeOfAKilledWorkerIsEnded(t *testing.T) {
	t.Parallel()
	cmd, dir := worker(t)
	pids := familyPIDs(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left of the killed worker's run", func() bool { return gone(pids...) && len(marked(t, dir)) == 0 })
}

func TestTreeOfAFrozenWorkerIsEndedAtItsDeadline(t *testing.T) {
	t.Parallel()
	cmd, dir := worker(t, deadlineEnv+"=1")
	pids := familyPIDs(t, dir)
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left of the frozen worker's run", func() bool { return gone(pids...) })
}

func TestDeadSupervisorTakesItsRunsAlongAndIsReplaced(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, s *supervisor.Supervisor) {
		cmd := command(t, family+"sleep 300")
		j := begin(t, s, cmd)
		eventually(t, "the family is there", func() bool { return exists(cmd.Dir, "ready") })
		pids := familyPIDs(t, cmd.Dir)
		if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		end, _ := j.wait()
		if end.Killed != supervisor.KilledLost || end.Stuck || !gone(pids...) {
			t.Errorf("got %+v, family gone: %t", end, gone(pids...))
		}
		if end, output := run(t, s, command(t, "echo again")); end.Code != 0 || output != "again\n" {
			t.Errorf("the next one: %+v, %q", end, output)
		}
	})
}

// freeze begins a run that stops its supervisor, which has the same user.
func freeze(t *testing.T, s *supervisor.Supervisor) *job {
	t.Helper()
	cmd := command(t, "until [ -e $DIR/begun ]; do sleep 0.02; done; kill -STOP $PPID; sleep 300")
	j := begin(t, s, cmd)
	if err := os.WriteFile(cmd.Dir+"/begun", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the supervisor is frozen", func() bool { return state(s.PID()) == "T" })
	return j
}

func TestFrozenSupervisorIsReplacedAlsoWhereItsSocketIsFull(t *testing.T) {
	t.Parallel()
	s, err := supervisor.Start(supervisor.WithPatience(supervisor.Config{Logger: slog.New(slog.DiscardHandler)}, 500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	j := freeze(t, s)
	var extending sync.WaitGroup
	extending.Go(func() {
		for range 2000 { // far more than a socket holds
			j.Extend(time.Now().Add(time.Hour))
		}
	})
	if end, _ := j.wait(); end.Killed != supervisor.KilledLost {
		t.Errorf("got %+v", end)
	}
	extending.Wait()
	if end, output := run(t, s, command(t, "echo again")); end.Code != 0 || output != "again\n" {
		t.Errorf("the next one: %+v, %q", end, output)
	}
}

func TestClosingEndsAFrozenSupervisor(t *testing.T) {
	t.Parallel()
	s, err := supervisor.Start(supervisor.WithPatience(supervisor.Config{Logger: slog.New(slog.DiscardHandler)}, 100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	j := freeze(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if end, _ := j.wait(); end.Killed != supervisor.KilledLost {
		t.Errorf("got %+v", end)
	}
}

func TestClosingEndsAllRuns(t *testing.T) {
	t.Parallel()
	s := start(t)
	cmd := command(t, family+"sleep 300")
	j := begin(t, s, cmd)
	eventually(t, "the family is there", func() bool { return exists(cmd.Dir, "ready") })
	pids := familyPIDs(t, cmd.Dir)
	if err := s.Close(); err != nil || !gone(pids...) {
		t.Errorf("%v; family gone: %t", err, gone(pids...))
	}
	j.wait()
	if _, err := s.Start(t.Context(), cmd); !errors.Is(err, os.ErrClosed) {
		t.Errorf("another start: %v", err)
	}
}

func TestManyRunsAtOnceDoNotMixUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			want := strings.Repeat(fmt.Sprint(i), 10)
			end, output := run(t, s, command(t, fmt.Sprintf("(setsid sleep 300 &); echo %s; exit %d", want, i)))
			if end.Code != i || output != want+"\n" {
				t.Errorf("%d: got %+v, %q", i, end, output)
			}
		})
	}
	all.Wait()
}

func TestCommandSeesNothingOfTheWorker(t *testing.T) {
	s := func() *supervisor.Supervisor {
		t.Setenv("DATABASE_PASSWORD", "hunter2")
		return start(t)
	}()
	end, output := run(t, s, command(t, `tr '\0' '\n' </proc/$PPID/environ; env; ls /proc/self/fd; cat /proc/$PPID/cmdline`))
	if strings.Contains(output, "hunter2") || strings.Contains(output, "PASSWORD") {
		t.Errorf("a secret shows: %q", output)
	}
	if !strings.Contains(output, "\n0\n1\n2\n3\n") || strings.Contains(output, "\n4\n") { // 3 is ls' own
		t.Errorf("descriptors: %+v, %q", end, output)
	}
}
