// Package subprocess runs flows of the kind `exec`: a command in a process group, environment and temporary folder of
// its own, in a sandbox and under limits.
//
// The way of one run:
//
//	hold against Policy ─> find program ─> make run folder ─> start ─> wait ─> end the rest ─> read cursor ─> remove run folder
//	                                                           │
//	                                                           ├─ctx ends─> TERM the group ─KillGrace─> KILL
//	                                                           └─limit exceeded─> KILL
//
// What always holds: the command sees nothing of the worker's environment but PATH; whatever is left of it is killed when
// it ends; a descendant that keeps the output open does not hold the run; and no descriptor, zombie or folder stays
// behind, but where the worker dies, and then the next worker with the same TempDir removes the folder. What a flow asks for
// and this worker does not allow, or cannot give, fails the run at once and for good.
//
// With a Supervisor, the command is started by that: all of its descendants end with the run, also where the worker is
// killed or frozen, at the latest when the lease ends; see package supervisor for how, for sandboxes and for limits. The limits of
// output and of the run folder are kept here, since here is where those are.
//
// Without one (on any system but Linux, and in programs that start none), the command is a child of the worker. Then there is
// no strict sandbox and no limit but those of output and folder; flows that ask for any are refused. Descendants that leave the process group live
// on, and if the worker dies, the kernel kills the command (on Linux; not its descendants).
package subprocess

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/supervisor"
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
	// Supervisor starts the commands; nil for this process. It stays the caller's.
	Supervisor *supervisor.Supervisor
	// Policy is what flows may ask for.
	Policy Policy
	// User and Group are whom commands run as; nil, and then both, for the worker's own. It takes a Supervisor, and root.
	User, Group *uint32
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
	if (cfg.User == nil) != (cfg.Group == nil) || (cfg.User != nil && (cfg.Supervisor == nil || os.Geteuid() != 0)) {
		return nil, errors.New("new exec executor: User: allowed is one with a Group, a Supervisor, and a worker that root runs")
	}
	for i, folder := range cfg.Policy.Folders {
		if followed, err := filepath.EvalSymlinks(folder); err == nil && followed != folder {
			cfg.Policy.Folders = append(slices.Clip(cfg.Policy.Folders), followed)
		} else if err != nil {
			return nil, fmt.Errorf("new exec executor: Policy.Folders[%d]: %w", i, err)
		}
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
	program, err := e.allowed(task.Flow)
	if err != nil {
		return refused(executor.Permanent(fmt.Errorf("start command: %w", err)))
	}
	folder, err := newFolder(e.cfg.TempDir)
	if err != nil {
		return refused(fmt.Errorf("make run folder: %w", err))
	}
	defer e.remove(folder, task)
	if err := folder.give(e.cfg.User, e.cfg.Group); err != nil {
		return refused(fmt.Errorf("hand over run folder: %w", err))
	}
	cmd, err := e.command(task, program, folder)
	if err != nil {
		return refused(err)
	}
	return e.run(ctx, task, cmd)
}

// allowed gives the flow's program, if the flow asks for nothing that it may not have.
func (e *Executor) allowed(flow store.DataFlow) (program string, err error) {
	if err := e.cfg.Policy.Check(flow); err != nil {
		return "", err
	}
	if err := e.unsupervised(e.cfg.Policy.level(*flow.Exec), e.cfg.Policy.limits(*flow.Exec)); err != nil {
		return "", err
	}
	if program, err = e.lookUp(*flow.Exec); err != nil {
		return "", err
	}
	return e.inFolders(program)
}

func (e *Executor) run(ctx context.Context, task executor.Task, cmd command) executor.Result {
	input, err := cmd.folder.input(task.Params)
	if err != nil {
		return refused(fmt.Errorf("hand over params: %w", err))
	}
	defer input.Close()
	over := make(chan *exceeded, 2) // holds one of each kind that is found here
	output, err := newOutput(task, cmd.limits.Output, over)
	if err != nil {
		return refused(fmt.Errorf("open output: %w", err))
	}
	defer output.close()

	process, err := e.start(ctx, task, cmd, []*os.File{input, output.stdout.write, output.stderr.write})
	if err != nil {
		return refused(startError(err, cmd.level))
	}
	output.follow()
	watched := cmd.folder.watch(cmd.limits.Folder, process.done(), over)
	end := await(ctx, process, e.cfg.KillGrace, e.patience(), over)
	output.finish()
	<-watched
	if end.exceeded == nil && !end.interrupted {
		select {
		case end.exceeded = <-over: // just before it ended
		default:
		}
	}
	if end.exceeded == nil && !end.interrupted && end.failed() {
		end.exceeded = blame(cmd.limits, output.lastErrors())
	}
	return result(ctx, end, output.lastErrors(), cmd.folder)
}

func (e *Executor) start(ctx context.Context, task executor.Task, cmd command, files []*os.File) (running, error) {
	if e.cfg.Supervisor != nil {
		return e.supervise(ctx, task, cmd, files)
	}
	process, err := start(cmd.direct(files))
	if err != nil {
		return nil, err
	}
	return process, nil
}

// patience is how long a command has to be gone after it was killed. A supervisor has its own, and says how it went.
func (e *Executor) patience() time.Duration {
	if e.cfg.Supervisor != nil {
		return supervisor.KillPatience
	}
	return e.cfg.KillGrace
}

func (e *Executor) remove(folder *folder, task executor.Task) {
	if err := folder.remove(); err != nil {
		e.cfg.Logger.Warn("run folder could not be removed", "flow", task.Flow.Name, "group", task.Flow.Group,
			"run_id", task.RunID, "folder", folder.path, "error", err)
	}
}

func refused(err error) executor.Result { return executor.Failure(store.ReasonRefused, err) }
