// Package subprocess runs flows of the kind `exec`: a command in a process group, environment and temporary folder of
// its own.
//
// The way of one run:
//
//	find program ─> make run folder ─> start ─> wait ─> kill the rest of the group ─> read cursor ─> remove run folder
//	                                             │
//	                                             └─ctx ends─> TERM the group ─KillGrace─> KILL the group
//
// What always holds: the command sees nothing of the worker's environment but PATH; whatever is left in its process
// group is killed when it ends, before its process id can be used again; a descendant that left the group but keeps
// the output open does not hold the run; and no descriptor, zombie or folder stays behind. If the worker dies, the
// kernel kills the command (on Linux; not its descendants), and the next worker with the same TempDir removes the
// folder.
//
// It does not own limits on memory, files or network, nor descendants that leave the group with setsid: that takes a
// supervisor beneath the worker.
package subprocess

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// Kind is what store.DataFlow.Kind says of the flows that this package runs.
const Kind = "exec"

// DefaultKillGrace is how long a command has between TERM and KILL.
const DefaultKillGrace = 5 * time.Second

// Config of an Executor. The zero value is usable.
type Config struct {
	// Dir is where relative programs and folders of flows start; default the worker's working folder.
	Dir string
	// TempDir holds the run folders; default os.TempDir. It must exist.
	TempDir string
	// Path is the PATH of the commands, and where programs without a slash are looked up; default the worker's own.
	// Entries that are not absolute are passed over.
	Path string
	// KillGrace is how long a command has between TERM and KILL; default DefaultKillGrace.
	KillGrace time.Duration
	// Logger hears what is not part of any run, such as a folder that could not be removed; default slog.Default().
	Logger *slog.Logger
}

// Executor implements executor.FlowExecutor. It is immutable and safe for concurrent use.
type Executor struct{ cfg Config }

// New gives an Executor. It removes the run folders of dead workers in cfg.TempDir, and sees to it that no command
// inherits a descriptor that this process was started with. Its error names the field at fault.
func New(cfg Config) (*Executor, error) {
	if cfg.KillGrace < 0 {
		return nil, fmt.Errorf("new exec executor: KillGrace: found %s, allowed is 0 (%s) or more", cfg.KillGrace, DefaultKillGrace)
	}
	if cfg.KillGrace == 0 {
		cfg.KillGrace = DefaultKillGrace
	}
	if cfg.TempDir == "" {
		cfg.TempDir = os.TempDir()
	}
	if cfg.Path == "" {
		cfg.Path = os.Getenv("PATH")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	for field, dir := range map[string]*string{"Dir": &cfg.Dir, "TempDir": &cfg.TempDir} {
		if err := absoluteFolder(dir); err != nil {
			return nil, fmt.Errorf("new exec executor: %s: %w", field, err)
		}
	}
	sealDescriptors()
	sweep(cfg.TempDir, cfg.Logger)
	return &Executor{cfg: cfg}, nil
}

// absoluteFolder makes dir absolute, empty being the worker's working folder, and checks that it is a folder.
func absoluteFolder(dir *string) error {
	absolute, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	*dir = absolute
	info, err := os.Stat(absolute)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "stat", Path: absolute, Err: errors.New("found a file, allowed is a folder")}
	}
	return err
}

// Execute implements executor.FlowExecutor.
func (e *Executor) Execute(ctx context.Context, task executor.Task) executor.Result {
	spec := task.Flow.Exec
	if spec == nil || len(spec.Command) == 0 {
		return refused(executor.Permanent(fmt.Errorf("start command: found a flow of kind %q without one", task.Flow.Kind())))
	}
	program, err := e.lookUp(*spec)
	if err != nil {
		return refused(executor.Permanent(fmt.Errorf("start command: %w", err)))
	}
	folder, err := newFolder(e.cfg.TempDir)
	if err != nil {
		return refused(fmt.Errorf("make run folder: %w", err))
	}
	defer e.remove(folder, task)
	return e.run(ctx, task, program, folder)
}

func (e *Executor) run(ctx context.Context, task executor.Task, program string, folder *folder) executor.Result {
	input, err := folder.input(task.Params)
	if err != nil {
		return refused(fmt.Errorf("hand over params: %w", err))
	}
	defer input.Close()
	output, err := newOutput(task.Output())
	if err != nil {
		return refused(fmt.Errorf("open output: %w", err))
	}
	defer output.close()

	cmd := e.command(task, program, folder)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, output.stdout.write, output.stderr.write
	process, err := start(cmd)
	if err != nil {
		return refused(startError(err))
	}
	output.follow()
	end := process.wait(ctx, e.cfg.KillGrace)
	output.finish()
	return result(ctx, end, output.lastErrors(), folder)
}

func (e *Executor) remove(folder *folder, task executor.Task) {
	if err := folder.remove(); err != nil {
		e.cfg.Logger.Warn("run folder could not be removed", "flow", task.Flow.Name, "group", task.Flow.Group,
			"run_id", task.RunID, "folder", folder.path, "error", err)
	}
}

func refused(err error) executor.Result { return executor.Failure(store.ReasonRefused, err) }
