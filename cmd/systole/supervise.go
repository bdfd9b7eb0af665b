package main

import (
	"cmp"
	"log/slog"
	"os"
	"runtime"

	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/store"
)

// newSupervisor starts a supervisor, where the system lets there be one; nil elsewhere.
func (p *process) newSupervisor(log *slog.Logger) (*supervisor.Supervisor, error) {
	if runtime.GOOS != "linux" {
		return nil, nil
	}
	started, err := supervisor.Start(supervisor.Config{Logger: log})
	if err != nil {
		return nil, err
	}
	p.onClose(func() { _ = started.Close() })
	return started, nil
}

func (p *process) newCommands(supervised *supervisor.Supervisor, log *slog.Logger) (*subprocess.Executor, error) {
	exec := p.cfg.Executor.Exec
	cfg := subprocess.Config{
		Dir: exec.Dir, TempDir: exec.TempDir, Path: exec.Path, Supervisor: supervised, Policy: execPolicy(exec), KillGrace: exec.KillGrace, Logger: log,
	}
	if user, group, ok := exec.IDs(); ok {
		cfg.User, cfg.Group = &user, &group
	}
	return subprocess.New(cfg)
}

// newFunctions makes the executor of functions. Those in processes of their own are held to the limits of commands, but for CPU
// time: a process has many runs.
func (p *process) newFunctions(supervised *supervisor.Supervisor, log *slog.Logger) (*function.Executor, error) {
	cfg, limits := p.cfg.Executor.Function, p.cfg.Executor.Exec.Limits
	functions, err := function.New(function.Config{
		Functions: builtins(), Logger: log, Registerer: p.registry,
		Process: function.ProcessConfig{
			Supervisor: supervised, Reuse: cfg.Reuse, Idle: cmp.Or(cfg.Idle, -1), Env: []string{"PATH=" + cmp.Or(p.cfg.Executor.Exec.Path, os.Getenv("PATH")), "LANG=C.UTF-8"},
			Limits: supervisor.Limits{
				Memory: int64(limits.Memory), Processes: limits.Processes, OpenFiles: limits.OpenFiles, FileSize: int64(limits.FileSize),
			},
		},
	})
	if err == nil {
		p.onClose(func() { _ = functions.Close() })
	}
	return functions, err
}

// execPolicy is what the settings allow to flows of the kind exec. A console that has the worker's settings refuses other flows
// when they are applied; a worker does so in any case.
func execPolicy(exec config.ExecutorExec) subprocess.Policy {
	return subprocess.Policy{
		Sandbox: exec.Sandbox, MinSandbox: exec.MinSandbox, Folders: exec.Folders, Limits: execLimits(exec.Limits),
		Max: subprocess.Max{Timeout: exec.Max.Timeout, Limits: execLimits(exec.Max.ExecutorLimits)},
	}
}

func execLimits(limits config.ExecutorLimits) store.Limits {
	return store.Limits{
		CPU: store.Duration(limits.CPU), Memory: limits.Memory, Processes: limits.Processes, OpenFiles: limits.OpenFiles,
		FileSize: limits.FileSize, Output: limits.Output, Folder: limits.Folder,
	}
}

// diagnoseSupervisor says what this host offers to runs, and whether that is what the settings ask for.
func diagnoseSupervisor(exec config.ExecutorExec) []finding {
	host := supervisor.Probe()
	var findings []finding
	add := func(mark, text string) { findings = append(findings, finding{mark, text}) }
	switch {
	case runtime.GOOS != "linux":
		add("warning", "commands are not supervised on this system: no limits but those of output and folder, no strict sandbox, no functions with isolation: process")
		return findings
	case host.Supervised != nil:
		add("wrong", "commands cannot be supervised: "+host.Supervised.Error())
		return findings
	}
	if host.Cgroups {
		add("ok", "commands are supervised, each in a control group of its own")
	} else {
		add("ok", "commands are supervised; there are no control groups to use, so the trees of runs are walked")
	}
	switch {
	case host.Strict != nil && store.SandboxStrict == exec.Sandbox:
		add("wrong", "executor.exec.sandbox is strict, and that is not to be had: "+host.Strict.Error())
	case host.Strict != nil:
		add("ok", "there is no sandbox strict, and flows that ask for it fail: "+host.Strict.Error())
	case host.UserNamespaces:
		add("ok", host.Describe())
	default:
		add("ok", host.Describe()+"; no user namespaces, so that seccomp alone keeps it from the network")
	}
	return findings
}
