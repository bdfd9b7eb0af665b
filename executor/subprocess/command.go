package subprocess

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// lookUp finds the absolute path of the program: from the flow's folder if there is a slash in it, else on Path. It also
// sees to the flow's folder, which a failing start would not tell from a missing program.
func (e *Executor) lookUp(spec store.ExecSpec) (string, error) {
	if info, err := os.Stat(e.dir(spec)); err != nil {
		return "", fmt.Errorf("find dir: %w", err)
	} else if !info.IsDir() {
		return "", fmt.Errorf("find dir: found a file at %s, allowed is a folder", e.dir(spec))
	}
	program := spec.Command[0]
	if strings.Contains(program, "/") {
		if !filepath.IsAbs(program) {
			program = filepath.Join(e.dir(spec), program)
		}
		return exec.LookPath(program)
	}
	for _, dir := range filepath.SplitList(e.cfg.Path) {
		if !filepath.IsAbs(dir) { // would depend on where the worker was started, or let a flow's folder shadow ls
			continue
		}
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("found no program %q on PATH %s", program, e.cfg.Path)
}

// dir is where the flow's relative paths start.
func (e *Executor) dir(spec store.ExecSpec) string {
	if filepath.IsAbs(spec.Dir) {
		return spec.Dir
	}
	return filepath.Join(e.cfg.Dir, spec.Dir)
}

// command is what to start, and under what.
type command struct {
	path   string
	args   []string
	env    []string
	dir    string
	folder *folder
	level  string // of the sandbox
	limits store.Limits
}

func (e *Executor) command(task executor.Task, program string, folder *folder) (command, error) {
	spec := task.Flow.Exec
	env, err := environment(task, e.cfg.Path, folder)
	if err != nil {
		return command{}, err
	}
	c := command{
		path: program, args: spec.Command, env: env, dir: folder.temp(), folder: folder,
		level: e.cfg.Policy.level(*spec), limits: e.cfg.Policy.limits(*spec),
	}
	if spec.Dir != "" {
		c.dir = e.dir(*spec)
	}
	return c, nil
}

// direct gives the command as a child of this process.
func (c command) direct(files []*os.File) *exec.Cmd {
	return &exec.Cmd{
		Path: c.path, Args: c.args, Env: c.env, Dir: c.dir, SysProcAttr: processAttributes(),
		Stdin: files[0], Stdout: files[1], Stderr: files[2],
	}
}

// environment is all that the command gets: nothing of the worker's own but PATH, where secrets tend to live. What the
// flow names replaces the general part; the runtime's own names stand above both.
func environment(task executor.Task, path string, folder *folder) ([]string, error) {
	env := []string{"PATH=" + path, "HOME=" + folder.temp(), "TMPDIR=" + folder.temp(), "LANG=C.UTF-8"}
	for name, setting := range task.Flow.Exec.Env {
		value, err := task.Reveal(setting)
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
		if strings.ContainsRune(value, 0) { // only a secret can have one here
			return nil, executor.Permanent(fmt.Errorf("set %s: found a NUL byte in %s, allowed is text without one", name, setting))
		}
		env = append(env, name+"="+value)
	}
	env = append(env, task.Environment()...)
	return append(env, "SYSTOLE_CURSOR_OUT="+folder.cursorPath()), nil
}

// startError says why a found program did not start, and whether it ever would: a lack of processes, memory or
// descriptors passes, a wrong file does not.
func startError(err error, sandbox string) error {
	err = fmt.Errorf("start command: %w", err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w (the program is there; what its first line, #!, or the program itself asks for is not)", err)
	case errors.Is(err, syscall.EACCES) && sandbox == store.SandboxStrict:
		err = fmt.Errorf("%w (under strict, what its first line, #!, or the program itself asks for has to be under files.read, too)", err)
	case errors.Is(err, syscall.ENOEXEC):
		err = fmt.Errorf("%w (it is no program of this machine's kind, nor does its first line start with #!)", err)
	}
	for _, lasting := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.ENOEXEC, syscall.E2BIG, syscall.EINVAL} {
		if errors.Is(err, lasting) {
			return executor.Permanent(err)
		}
	}
	return err
}

func closeFile(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}
