package supervisor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// born is a command that has been started.
type born struct {
	pid     int
	exited  chan struct{} // closed when the command has ended; it is not reaped then
	applied []string
}

// errNoUserNS is why a command was not started in a user namespace.
var errNoUserNS = errors.New("no user namespace")

// spawn starts the run's command, in namespaces where there may be some. That there may be none is believed for good only if the
// system says so and the command starts without: a command that would not start anyway, or a lack that passes, must not take the
// namespaces from all later runs.
func (s *server) spawn(r *run, files []*os.File) (*born, error) {
	s.mu.Lock()
	without := s.noUserNS
	s.mu.Unlock()
	flags := namespaces(r.command.Sandbox, without)
	b, err := s.spawnIn(r, files, flags)
	if flags&unix.CLONE_NEWUSER == 0 || !errors.Is(err, errNoUserNS) {
		return b, err
	}
	lasting := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)
	if b, err = s.spawnIn(r, files, namespaces(r.command.Sandbox, true)); err == nil && lasting {
		s.mu.Lock()
		s.noUserNS = true
		s.mu.Unlock()
	}
	return b, err
}

// spawnIn starts the command on a thread of its own. What sandboxes a thread (no_new_privs, umask, capabilities, Landlock,
// seccomp) is handed down by a fork; the thread wears it from the start and is thrown away afterwards, so that no helper
// program has to. It lives as long as the command: PDEATHSIG follows the thread that forked.
func (s *server) spawnIn(r *run, files []*os.File, flags uintptr) (*born, error) {
	type outcome struct {
		born *born
		err  error
	}
	started := make(chan outcome)
	onOwnThread(func() {
		applied, err := s.confine(r.command.Sandbox, flags)
		if err != nil {
			started <- outcome{err: err}
			return
		}
		b := &born{exited: make(chan struct{}), applied: applied}
		if b.pid, err = s.fork(r, files, flags); err == nil {
			err = s.release(r, b.pid, flags)
		}
		started <- outcome{b, err}
		if err == nil {
			await(b.pid)
			close(b.exited)
		}
	})
	got := <-started
	return got.born, got.err
}

// onOwnThread runs f in a goroutine with a thread that nothing else uses, before or after, whatever f does to it. It is never the
// first thread, which stands for the process, and which the runtime would keep.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		onAnother := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(onAnother)
			f()
		}()
		<-onAnother
		runtime.UnlockOSThread()
	}()
}

// fork starts the command, which stops before its first instruction.
func (s *server) fork(r *run, files []*os.File, flags uintptr) (int, error) {
	cmd := r.command
	attributes := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Ptrace: true, Cloneflags: flags}
	if box := cmd.Sandbox; box.User != nil && box.Group != nil {
		attributes.Credential = &syscall.Credential{Uid: *box.User, Gid: *box.Group}
	}
	numbers := make([]uintptr, len(files))
	for i, file := range files {
		numbers[i] = file.Fd()
	}
	s.births.RLock()
	defer s.births.RUnlock()
	pid, err := syscall.ForkExec(cmd.Path, cmd.Args, &syscall.ProcAttr{Dir: cmd.Dir, Env: cmd.Env, Files: numbers, Sys: attributes})
	if err != nil {
		if flags&unix.CLONE_NEWUSER != 0 && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES) {
			return 0, fmt.Errorf("%w: %w", errNoUserNS, err)
		}
		return 0, err
	}
	s.mu.Lock()
	s.commands[pid] = true
	s.mu.Unlock()
	return pid, nil
}

// release gives the stopped command its mark and limits and lets it go. Where that fails, it is gone.
func (s *server) release(r *run, pid int, flags uintptr) error {
	var status syscall.WaitStatus
	_, err := wait4(pid, &status)
	if err == nil && !status.Stopped() {
		err = fmt.Errorf("command ended before it began (status %#x)", uint32(status))
	}
	if err == nil {
		ready := make(chan error)
		go func() { ready <- s.prepare(r, pid, flags) }() // this thread is confined already
		err = <-ready
	}
	if err == nil {
		err = os.NewSyscallError("ptrace(PTRACE_DETACH)", syscall.PtraceDetach(pid))
	}
	if err == nil {
		r.mu.Lock()
		r.pid = pid
		r.mu.Unlock()
		return nil
	}
	if !status.Exited() && !status.Signaled() {
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = wait4(pid, &status)
	}
	s.mu.Lock()
	delete(s.commands, pid)
	s.mu.Unlock()
	return err
}

func wait4(pid int, status *syscall.WaitStatus) (int, error) {
	for {
		got, err := syscall.Wait4(pid, status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return got, os.NewSyscallError("wait4", err)
		}
	}
}

// await blocks until the process has ended, and leaves it to be reaped.
func await(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// prepare does what can only be done to a process that there is, before it runs.
func (s *server) prepare(r *run, pid int, flags uintptr) error {
	if flags&unix.CLONE_NEWUSER != 0 {
		if err := mapUser(pid); err != nil {
			return fmt.Errorf("%w: %w", errNoUserNS, err)
		}
	}
	if err := preferLess(pid, s.ordinary); err != nil {
		return err
	}
	r.group = s.groups.add(r.id, pid)
	box := r.command.Sandbox
	if box.User == nil || box.Group == nil {
		return setLimits(r, pid)
	}
	// Only that user may set the limits of a process of its own, or who has a capability that containers lack. A thread
	// becomes the user, and is thrown away.
	done := make(chan error)
	onOwnThread(func() {
		err := becomeUser(*box.User, *box.Group)
		if err == nil {
			err = setLimits(r, pid)
		}
		done <- err
	})
	return <-done
}

// becomeUser changes the calling thread, and no other, as the functions of package syscall would.
func becomeUser(user, group uint32) error {
	if _, _, failed := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(group), uintptr(group), uintptr(group)); failed != 0 {
		return os.NewSyscallError("setresgid", failed)
	}
	if _, _, failed := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(user), uintptr(user), uintptr(user)); failed != 0 {
		return os.NewSyscallError("setresuid", failed)
	}
	return nil
}

// mapUser makes the one user and group of a new user namespace those that they are outside.
func mapUser(pid int) error {
	user, group := os.Geteuid(), os.Getegid()
	for _, entry := range []struct{ file, text string }{
		{"setgroups", "deny"},
		{"uid_map", fmt.Sprintf("%d %d 1", user, user)},
		{"gid_map", fmt.Sprintf("%d %d 1", group, group)},
	} {
		file, err := os.OpenFile(fmt.Sprintf("/proc/%d/%s", pid, entry.file), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.WriteString(entry.text)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
	}
	return nil
}
