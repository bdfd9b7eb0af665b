package subprocess

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/store"
)

// supervised is a command that the supervisor started.
type supervised struct {
	*supervisor.Process
	limits store.Limits
	level  string
}

// supervise starts the command through the supervisor, which from then on knows of each renewal of the lease.
func (e *Executor) supervise(ctx context.Context, task executor.Task, c command, files []*os.File) (running, error) {
	until, moved := task.Lease.Until()
	process, err := e.cfg.Supervisor.Start(ctx, supervisor.Command{
		Path: c.path, Args: c.args, Env: c.env, Dir: c.dir, Files: files, Until: until,
		Limits: supervisor.Limits{
			CPU: time.Duration(c.limits.CPU), Memory: int64(c.limits.Memory), Processes: c.limits.Processes,
			OpenFiles: c.limits.OpenFiles, FileSize: int64(c.limits.FileSize),
		},
		Sandbox: e.sandbox(*task.Flow.Exec, c),
	})
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			select {
			case <-process.Done():
				return
			case <-moved:
			}
			until, moved = task.Lease.Until()
			process.Extend(until)
		}
	}()
	return &supervised{Process: process, limits: c.limits, level: c.level}, nil
}

func (e *Executor) sandbox(spec store.ExecSpec, c command) supervisor.Sandbox {
	box := supervisor.Sandbox{Level: supervisor.Level(c.level), User: e.cfg.User, Group: e.cfg.Group}
	if c.level != store.SandboxStrict {
		return box
	}
	box.Read = []string{c.path}
	if spec.Dir != "" {
		box.Read = append(box.Read, c.dir)
	}
	box.Write = []string{c.folder.path}
	if spec.Files != nil {
		box.Read, box.Write = append(box.Read, spec.Files.Read...), append(box.Write, spec.Files.Write...)
	}
	for _, port := range spec.Ports {
		box.Ports = append(box.Ports, uint16(port))
	}
	return box
}

func (s *supervised) done() <-chan struct{} { return s.Done() }
func (s *supervised) terminate()            { s.Terminate() }
func (s *supervised) kill()                 { s.Kill() }

func (s *supervised) ending() ending {
	told := s.End()
	end := ending{code: told.Code, signal: syscall.Signal(told.Signal), stuck: told.Stuck, process: s.report(told)}
	end.asked = told.Killed == supervisor.KilledAsked
	if told.Exceeded != nil {
		end.exceeded = s.exceeded(*told.Exceeded)
	}
	if told.Killed == supervisor.KilledDeadline || told.Killed == supervisor.KilledLost {
		end.lost = told.Killed
	}
	return end
}

func (s *supervised) exceeded(over supervisor.Exceeded) *exceeded {
	for _, limit := range compare(s.limits, store.Limits{}) {
		if limit.name == over.Limit {
			return &exceeded{name: over.Limit, found: over.Found, allowed: limit.text(limit.asked)}
		}
	}
	return &exceeded{name: over.Limit, found: over.Found, allowed: "less"}
}

func (s *supervised) report(told supervisor.End) *store.RunProcess {
	report := &store.RunProcess{CPUMS: told.CPU.Milliseconds(), PeakMemory: told.Memory, Sandbox: s.level, Applied: s.Applied()}
	if told.Signal != 0 {
		report.Signal = unix.SignalName(syscall.Signal(told.Signal))
	} else if told.Code >= 0 {
		report.ExitCode = &told.Code
	}
	return report
}

// unsupervised says what of a command's needs only a supervisor can give, or nil where there is one or none is needed.
func (e *Executor) unsupervised(level string, limits store.Limits) error {
	if e.cfg.Supervisor != nil {
		return nil
	}
	if level == store.SandboxStrict {
		return errors.New("exec.sandbox: found strict, allowed is none or standard: this worker has no supervisor, which takes Linux")
	}
	for _, limit := range compare(limits, store.Limits{}) {
		if limit.asked > 0 && limit.name != limitOutput && limit.name != limitFolder {
			return fmt.Errorf("exec.limits.%s: found %s, allowed is none: this worker has no supervisor, which takes Linux", limit.name, limit.text(limit.asked))
		}
	}
	return nil
}

// inFolders gives the program with all links followed, if it must be in one of some folders and then is.
func (e *Executor) inFolders(program string) (string, error) {
	if len(e.cfg.Policy.Folders) == 0 {
		return program, nil
	}
	followed, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", err
	}
	if !e.cfg.Policy.within(followed) {
		return "", fmt.Errorf("exec.command: found %s, allowed is a program in %s, as the operator has set", followed, strings.Join(e.cfg.Policy.Folders, " or "))
	}
	return followed, nil
}
