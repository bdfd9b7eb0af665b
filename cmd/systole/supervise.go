package main

import (
	"log/slog"
	"runtime"

	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/executor/supervisor"
	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/store"
)

// newCommands makes the executor of commands, with a supervisor where the system lets there be one.
func (p *process) newCommands(log *slog.Logger) (*subprocess.Executor, error) {
	exec := p.cfg.Executor.Exec
	cfg := subprocess.Config{
		Dir: exec.Dir, TempDir: exec.TempDir, Path: exec.Path, Policy: execPolicy(exec), KillGrace: exec.KillGrace, Logger: log,
	}
	if user, group, ok := exec.IDs(); ok {
		cfg.User, cfg.Group = &user, &group
	}
	if runtime.GOOS == "linux" {
		hideProcess()
		supervised, err := supervisor.Start(supervisor.Config{Logger: log})
		if err != nil {
			return nil, err
		}
		p.onClose(func() { _ = supervised.Close() })
		cfg.Supervisor = supervised
	}
	return subprocess.New(cfg)
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

// diagnoseSupervisor says what this host offers to runs.
func diagnoseSupervisor() []finding {
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
	case host.Strict != nil:
		add("warning", "sandbox strict is not to be had: "+host.Strict.Error())
	case host.UserNamespaces:
		add("ok", host.Describe())
	default:
		add("ok", host.Describe()+"; no user namespaces, so that seccomp alone keeps it from the network")
	}
	return findings
}
