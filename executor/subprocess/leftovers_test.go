package subprocess_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/store"
)

// Not parallel: it counts what belongs to the whole process.
func TestRunsLeaveNoDescriptorChildOrFolderBehind(t *testing.T) {
	scripts := []string{
		"echo fine", "exit 1", "kill -9 $$", "sleep 300 & echo left", "cat", "mkdir -p a/b; chmod 0 a",
		`ln -s / root; ln -s /etc/passwd file; mkfifo pipe; echo 1 > "$SYSTOLE_CURSOR_OUT"`,
	}
	f := newFixture(t, "true")
	f.run(t) // opens what the runtime keeps open
	before := descriptors(t)
	var runs sync.WaitGroup
	for i := range 50 {
		runs.Go(func() {
			task := f.task
			flow := *task.Flow.Exec
			flow.Command = []string{"sh", "-c", scripts[i%len(scripts)]}
			task.Flow.Exec, task.Params = &flow, []byte(`{}`)
			f.Execute(t.Context(), task)
		})
	}
	runs.Wait()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if left := children(t); left != "" {
		t.Errorf("children left: %s", left)
	}
}

func TestCommandLeavesNoFileThatCannotBeDeleted(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("chattr"); err != nil || os.Geteuid() != 0 {
		t.Skip("only root can try, with chattr")
	}
	f := newFixture(t, "touch file; chattr +i file && echo done; chattr +a .; true")
	t.Cleanup(func() { _ = exec.Command("chattr", "-R", "-ia", f.tempDir).Run() })
	if result, log := f.run(t); result.Err != nil || strings.Contains(log, "done") {
		t.Errorf("got %+v, %q", result, log)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// children lists the process's children, zombies included.
func children(t *testing.T) string {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		t.Fatalf("no lists of children: %v", err)
	}
	var all []string
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread may have ended since
		all = append(all, strings.Fields(string(text))...)
	}
	if shared != nil {
		all = slices.DeleteFunc(all, func(pid string) bool { return pid == strconv.Itoa(shared.PID()) })
	}
	return strings.Join(all, " ")
}

func TestRunFolderIsRemovedWithoutFollowingLinks(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	write(t, filepath.Join(outside, "precious"), "data", 0o600)
	f := newFixture(t, `ln -s `+outside+` link; ln -s `+outside+`/precious file; mkdir -p a/b; ln -s `+outside+` a/b/link; chmod 500 a/b a`)
	if result, _ := f.run(t); result.Err != nil {
		t.Fatal(result.Err)
	}
	if text, err := os.ReadFile(filepath.Join(outside, "precious")); err != nil || string(text) != "data" {
		t.Errorf("a linked file is %q, %v", text, err)
	}
}

// beWorker runs one command that prints its number into a file, until the worker is killed.
func beWorker(dir string) {
	e, err := subprocess.New(subprocess.Config{TempDir: dir})
	if err != nil {
		panic(err)
	}
	script := `echo $$ > ` + dir + `/pid.new; mv ` + dir + `/pid.new ` + dir + `/pid; exec sleep 300`
	flow := store.DataFlow{Name: "orders", Exec: &store.ExecSpec{Command: []string{"sh", "-c", script}}}
	e.Execute(context.Background(), executor.Task{Flow: flow})
}

func TestKilledWorkerTakesItsCommandAlongAndTheNextOneRemovesItsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), workerEnv+"="+dir)
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = worker.Process.Kill() }()
	var pid int
	eventually(t, "the command's number", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	folders := func() []string {
		found, _ := filepath.Glob(filepath.Join(dir, "systole-run-*"))
		return found
	}
	restart := func() {
		for _, folder := range folders() {
			long := time.Now().Add(-time.Hour)
			if err := os.Chtimes(folder, long, long); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := subprocess.New(subprocess.Config{TempDir: dir, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	if len(folders()) != 1 || gone(pid) {
		t.Fatalf("while the worker lives: folders %v, command gone: %t", folders(), gone(pid))
	}
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = worker.Wait()
	eventually(t, "the command's end", func() bool { return gone(pid) })
	restart()
	if left := folders(); len(left) > 0 {
		t.Errorf("folders left: %v", left)
	}
}
