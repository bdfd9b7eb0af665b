package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/systole-run/systole/internal/bytesize"
)

// Size is a number of bytes, written as 4096, 64KiB or 16MiB.
type Size = bytesize.Size

// Levels of a sandbox, each with what the one before keeps from a command.
const (
	SandboxNone     = "none"     // no more than its own process group, environment and descriptors
	SandboxStandard = "standard" // no new privileges, umask 077
	SandboxStrict   = "strict"   // no files and no network but what the flow lists, no calls that administer the machine
)

// Sandboxes are all levels, from the one that keeps least.
var Sandboxes = []string{SandboxNone, SandboxStandard, SandboxStrict}

// ExecFiles are absolute paths that a command in a strict sandbox may use, each with all that is beneath it.
type ExecFiles struct {
	Read  []string `json:"read,omitempty"`  // may be read and executed
	Write []string `json:"write,omitempty"` // may be read, written, made and removed
}

// Limits of a run. 0 is no limit of its own. A run that exceeds one fails, and its error names the limit.
type Limits struct {
	CPU       Duration `json:"cpu,omitempty"`        // CPU time of all its processes
	Memory    Size     `json:"memory,omitempty"`     // of all its processes
	Processes int      `json:"processes,omitempty"`  // at once
	OpenFiles int      `json:"open_files,omitempty"` // of each process
	FileSize  Size     `json:"file_size,omitempty"`  // of each file that is written
	Output    Size     `json:"output,omitempty"`     // written to standard output and error
	Folder    Size     `json:"folder,omitempty"`     // in the run's own folder
}

func (s ExecSpec) validateSandbox(invalid *InvalidError) {
	if s.Sandbox != "" && !slices.Contains(Sandboxes, s.Sandbox) {
		invalid.add("exec.sandbox", s.Sandbox, "none, standard or strict; or leaving it out, for what the worker's operator has set")
	}
	strict := s.Sandbox == "" || s.Sandbox == SandboxStrict
	if s.Files != nil && !strict {
		invalid.add("exec.files", s.Sandbox, "files only beside sandbox: strict; the others keep no files from the command")
	}
	if len(s.Ports) > 0 && !strict {
		invalid.add("exec.ports", s.Sandbox, "ports only beside sandbox: strict; the others keep no network from the command")
	}
	for i, port := range s.Ports {
		if port < 1 || port > 65535 {
			invalid.add(fmt.Sprintf("exec.ports[%d]", i), fmt.Sprint(port), "1 to 65535")
		}
	}
	if s.Files != nil {
		validatePaths("exec.files.read", s.Files.Read, invalid)
		validatePaths("exec.files.write", s.Files.Write, invalid)
	}
}

func validatePaths(field string, paths []string, invalid *InvalidError) {
	for i, path := range paths {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.ContainsRune(path, 0) {
			invalid.add(fmt.Sprintf("%s[%d]", field, i), path, "a clean absolute path, such as /srv/data")
		}
	}
}

// Bounds of limits that have any.
const (
	maxProcesses = 100_000
	maxOpenFiles = 1 << 20
)

func (l Limits) validate(field string, invalid *InvalidError) {
	if l.CPU < 0 {
		invalid.add(field+".cpu", l.CPU.String(), "a duration above 0, such as 30s")
	}
	if l.Processes < 0 || l.Processes > maxProcesses {
		invalid.add(field+".processes", fmt.Sprint(l.Processes), fmt.Sprintf("1 to %d", maxProcesses))
	}
	if l.OpenFiles < 0 || l.OpenFiles > maxOpenFiles || (l.OpenFiles > 0 && l.OpenFiles < minOpenFiles) {
		invalid.add(field+".open_files", fmt.Sprint(l.OpenFiles), fmt.Sprintf("%d to %d", minOpenFiles, maxOpenFiles))
	}
	for name, size := range map[string]Size{"memory": l.Memory, "file_size": l.FileSize, "output": l.Output, "folder": l.Folder} {
		if size < 0 {
			invalid.add(field+"."+name, size.String(), bytesize.Allowed)
		}
	}
}

// minOpenFiles is what it takes for a program to start: its streams, itself and a library.
const minOpenFiles = 8
