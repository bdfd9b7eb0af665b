package subprocess

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/systole-run/systole/store"
)

// Policy is what a worker's operator allows to flows of the kind `exec`. The zero value allows all that a flow asks for,
// and gives those that ask for nothing the standard sandbox and no limits.
type Policy struct {
	// Sandbox is the level of flows that name none; default store.SandboxStandard.
	Sandbox string
	// MinSandbox is the least level that a flow may name; default store.SandboxNone, which is any.
	MinSandbox string
	// Folders are where programs must be, links followed; none allows any.
	Folders []string
	// Limits hold for flows that do not set their own.
	Limits store.Limits
	// Max is what no flow may go beyond; 0 is no maximum.
	Max Max
}

// Max bounds what flows may ask for.
type Max struct {
	Timeout time.Duration
	store.Limits
}

// Check says what a flow asks for beyond what is allowed, as a store.InvalidError, or gives nil. It looks at the flow
// alone, so that it can be asked where flows are written as well as where they run.
func (p Policy) Check(flow store.DataFlow) error {
	spec := flow.Exec
	if spec == nil {
		return nil
	}
	var wrong store.InvalidError
	add := func(field, found, allowed string) {
		wrong = append(wrong, store.FieldError{Field: field, Found: found, Allowed: allowed + ", as the operator has set"})
	}
	level := p.level(*spec)
	if least := cmp.Or(p.MinSandbox, store.SandboxNone); rank(level) < rank(least) {
		add("exec.sandbox", level, strings.Join(store.Sandboxes[rank(least):], " or "))
	}
	if level != store.SandboxStrict && (spec.Files != nil || len(spec.Ports) > 0) {
		add("exec.sandbox", level, "strict, or leaving out files and ports: no other level keeps a command to them. This is the level of flows that name none")
	}
	if program := first(spec.Command); len(p.Folders) > 0 && filepath.IsAbs(program) && !p.within(program) {
		add("exec.command", fmt.Sprintf("%q", program), "a program in "+strings.Join(p.Folders, " or "))
	}
	if p.Max.Timeout > 0 && time.Duration(flow.Timeout) > p.Max.Timeout {
		add("timeout", flow.Timeout.String(), "up to "+store.Duration(p.Max.Timeout).String())
	}
	if spec.Limits != nil {
		for _, limit := range compare(*spec.Limits, p.Max.Limits) {
			if limit.most > 0 && limit.asked > limit.most {
				add("exec.limits."+limit.name, limit.text(limit.asked), "up to "+limit.text(limit.most))
			}
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}

// level is what the flow runs under.
func (p Policy) level(spec store.ExecSpec) string {
	return cmp.Or(spec.Sandbox, p.Sandbox, store.SandboxStandard)
}

func rank(level string) int { return slices.Index(store.Sandboxes, level) }

// within reports whether a path is in one of the folders.
func (p Policy) within(path string) bool {
	return slices.ContainsFunc(p.Folders, func(folder string) bool {
		relative, err := filepath.Rel(folder, path)
		return err == nil && filepath.IsLocal(relative)
	})
}

// limits are those that hold for the flow: its own, else the operator's, and never more than the maximum.
func (p Policy) limits(spec store.ExecSpec) store.Limits {
	var own store.Limits
	if spec.Limits != nil {
		own = *spec.Limits
	}
	return store.Limits{
		CPU:       most(own.CPU, p.Limits.CPU, p.Max.CPU),
		Memory:    most(own.Memory, p.Limits.Memory, p.Max.Memory),
		Processes: most(own.Processes, p.Limits.Processes, p.Max.Processes),
		OpenFiles: most(own.OpenFiles, p.Limits.OpenFiles, p.Max.OpenFiles),
		FileSize:  most(own.FileSize, p.Limits.FileSize, p.Max.FileSize),
		Output:    most(own.Output, p.Limits.Output, p.Max.Output),
		Folder:    most(own.Folder, p.Limits.Folder, p.Max.Folder),
	}
}

func most[T int | store.Size | store.Duration](own, usual, maximum T) T {
	limit := cmp.Or(own, usual)
	if maximum > 0 && (limit == 0 || limit > maximum) {
		return maximum
	}
	return limit
}

// limit is one of the limits, as it was asked for and as it is allowed.
type limit struct {
	name        string
	asked, most int64
	text        func(int64) string
}

// Names of limits, as flows have them.
const (
	limitCPU       = "cpu"
	limitMemory    = "memory"
	limitProcesses = "processes"
	limitOpenFiles = "open_files"
	limitFileSize  = "file_size"
	limitOutput    = "output"
	limitFolder    = "folder"
)

func compare(asked, most store.Limits) []limit {
	duration := func(n int64) string { return store.Duration(n).String() }
	size := func(n int64) string { return store.Size(n).String() }
	count := func(n int64) string { return fmt.Sprint(n) }
	return []limit{
		{limitCPU, int64(asked.CPU), int64(most.CPU), duration},
		{limitMemory, int64(asked.Memory), int64(most.Memory), size},
		{limitProcesses, int64(asked.Processes), int64(most.Processes), count},
		{limitOpenFiles, int64(asked.OpenFiles), int64(most.OpenFiles), count},
		{limitFileSize, int64(asked.FileSize), int64(most.FileSize), size},
		{limitOutput, int64(asked.Output), int64(most.Output), size},
		{limitFolder, int64(asked.Folder), int64(most.Folder), size},
	}
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}
