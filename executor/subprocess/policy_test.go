package subprocess_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/store"
)

func TestFlowMayNotAskForMoreThanTheOperatorAllows(t *testing.T) {
	t.Parallel()
	policy := subprocess.Policy{
		MinSandbox: store.SandboxStandard, Folders: []string{"/usr/bin", "/opt/jobs"},
		Max: subprocess.Max{Timeout: time.Hour, Limits: store.Limits{
			CPU: store.Duration(time.Minute), Memory: 1 << 30, Processes: 10, OpenFiles: 100, FileSize: 1 << 20, Output: 1 << 20, Folder: 1 << 20,
		}},
	}
	for field, c := range map[string]struct {
		spec    store.ExecSpec
		allowed string
	}{
		"exec.sandbox":           {store.ExecSpec{Sandbox: "none"}, "standard or strict"},
		"exec.command":           {store.ExecSpec{Command: []string{"/usr/bin/../sbin/x"}}, "in /usr/bin or /opt/jobs"},
		"exec.limits.cpu":        {store.ExecSpec{Limits: &store.Limits{CPU: store.Duration(2 * time.Minute)}}, "up to 1m"},
		"exec.limits.memory":     {store.ExecSpec{Limits: &store.Limits{Memory: 2 << 30}}, "up to 1GiB"},
		"exec.limits.processes":  {store.ExecSpec{Limits: &store.Limits{Processes: 11}}, "up to 10"},
		"exec.limits.open_files": {store.ExecSpec{Limits: &store.Limits{OpenFiles: 101}}, "up to 100"},
		"exec.limits.file_size":  {store.ExecSpec{Limits: &store.Limits{FileSize: 2 << 20}}, "up to 1MiB"},
		"exec.limits.output":     {store.ExecSpec{Limits: &store.Limits{Output: 2 << 20}}, "up to 1MiB"},
		"exec.limits.folder":     {store.ExecSpec{Limits: &store.Limits{Folder: 2 << 20}}, "up to 1MiB"},
	} {
		if len(c.spec.Command) == 0 {
			c.spec.Command = []string{"/usr/bin/true"}
		}
		err := policy.Check(store.DataFlow{Exec: &c.spec})
		var invalid store.InvalidError
		if !errors.As(err, &invalid) || len(invalid) != 1 || invalid[0].Field != field || !strings.Contains(invalid[0].Allowed, c.allowed) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	for name, flow := range map[string]store.DataFlow{
		"all that is allowed": {Timeout: store.Duration(time.Hour), Exec: &store.ExecSpec{
			Command: []string{"/opt/jobs/a/b"}, Sandbox: "strict", Ports: []int{1}, Limits: &policy.Max.Limits,
		}},
		"a program that is looked up": {Exec: &store.ExecSpec{Command: []string{"true"}}},
		"another kind":                {Timeout: store.Duration(2 * time.Hour), HTTP: &store.HTTPSpec{}},
	} {
		if err := policy.Check(flow); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := store.DataFlow{Timeout: store.Duration(2 * time.Hour), Exec: &store.ExecSpec{Command: []string{"true"}}}
	if err := policy.Check(long); err == nil || !strings.Contains(err.Error(), "timeout: found 2h, allowed is up to 1h") {
		t.Errorf("a long timeout: %v", err)
	}
	open := store.DataFlow{Exec: &store.ExecSpec{Command: []string{"true"}, Ports: []int{1}}}
	if err := policy.Check(open); err == nil || !strings.Contains(err.Error(), "strict") {
		t.Errorf("ports without a strict sandbox: %v", err)
	}
}

func TestWhatIsNotAllowedFailsTheRunAtOnceAndForGood(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.Symlink("/bin/sh", filepath.Join(folder, "sh")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		policy subprocess.Policy
		change func(*store.DataFlow)
		want   string
	}{
		"a level":         {subprocess.Policy{MinSandbox: "standard"}, func(f *store.DataFlow) { f.Exec.Sandbox = "none" }, "exec.sandbox"},
		"a limit":         {subprocess.Policy{Max: subprocess.Max{Limits: store.Limits{Memory: 1}}}, func(f *store.DataFlow) { f.Exec.Limits = &store.Limits{Memory: 2} }, "exec.limits.memory"},
		"a program":       {subprocess.Policy{Folders: []string{folder}}, func(f *store.DataFlow) { f.Exec.Command[0] = "/bin/sh" }, "exec.command"},
		"a looked-up one": {subprocess.Policy{Folders: []string{folder}}, func(*store.DataFlow) {}, "exec.command"},
		"a link":          {subprocess.Policy{Folders: []string{folder}}, func(f *store.DataFlow) { f.Exec.Command[0] = filepath.Join(folder, "sh") }, "exec.command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "echo ran", func(cfg *subprocess.Config) { cfg.Policy = c.policy })
			c.change(&f.task.Flow)
			result, log := f.run(t)
			if result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), c.want) || log != "" {
				t.Errorf("got %+v, log %q", result, log)
			}
		})
	}
}

func TestProgramInAnAllowedFolderRuns(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "job"), "#!/bin/sh\necho job $1\n", 0o700)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, "", func(cfg *subprocess.Config) { cfg.Policy.Folders = []string{link} })
	f.task.Flow.Exec.Command = []string{filepath.Join(link, "job"), "done"}
	if result, log := f.run(t); result.Err != nil || log != "job done\n" {
		t.Errorf("got %+v, %q", result, log)
	}
}

func TestWithoutASupervisorWhatTakesOneIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*store.ExecSpec){
		"exec.sandbox":          func(s *store.ExecSpec) { s.Sandbox = "strict" },
		"exec.limits.memory":    func(s *store.ExecSpec) { s.Limits = &store.Limits{Memory: 1 << 30} },
		"exec.limits.processes": func(s *store.ExecSpec) { s.Limits = &store.Limits{Processes: 5} },
	} {
		f := newFixture(t, "true", func(cfg *subprocess.Config) { cfg.Supervisor = nil })
		change(f.task.Flow.Exec)
		if result, _ := f.run(t); result.Reason != store.ReasonRefused || !strings.Contains(result.Err.Error(), name+": found ") || !strings.Contains(result.Err.Error(), "takes Linux") {
			t.Errorf("%s: got %+v", name, result)
		}
	}
	f := newFixture(t, `echo 42 > "$SYSTOLE_CURSOR_OUT"; yes | head -c 3000000`, func(cfg *subprocess.Config) { cfg.Supervisor = nil })
	if result, _ := f.run(t); result.Err != nil || *result.Cursor != "42" {
		t.Errorf("without: %+v", result)
	}
	f.task.Flow.Exec.Limits = &store.Limits{Output: 1 << 20}
	if result, _ := f.run(t); result.Reason != store.ReasonLimit {
		t.Errorf("output: %+v", result)
	}
	f.task.Flow.Exec.Command = []string{"sleep", "300"}
	if result, _ := f.interruptAtOnce(t); result.Reason != store.ReasonCancelled {
		t.Errorf("cancelled: %+v", result)
	}
}
