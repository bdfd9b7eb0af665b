package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config of a Supervisor. The zero value is usable.
type Config struct {
	Logger *slog.Logger // hears of supervisors that are gone; default slog.Default()
	// WithoutCgroups has no control groups used, not even where this host has them: runs are ended by walking their trees.
	WithoutCgroups bool

	// patience is how long a supervisor may take to do as it is told; killPatience but in tests.
	patience time.Duration
}

// ErrGone is why a command could not be started, or its run ended: the supervisor is gone. Another one is started.
var ErrGone = errors.New("supervisor is gone")

// errDying: nothing was started, since the supervisor is gone and not yet replaced.
var errDying = errors.New("supervisor is being replaced")

// startPatience is how long a supervisor may take until it answers.
const startPatience = 30 * time.Second

// Supervisor is the worker's side: it starts commands through its supervisor process, and that process anew when it is
// gone. It is safe for concurrent use.
type Supervisor struct {
	cfg Config

	mu      sync.Mutex
	current *child // nil while there is none
	closed  bool
}

// Start starts the supervisor process. It fails where the program did not call Main, and on any system but Linux, by name.
func Start(cfg Config) (*Supervisor, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.patience = cmp.Or(cfg.patience, killPatience)
	s := &Supervisor{cfg: cfg}
	err := canSupervise()
	if err == nil {
		_, err = s.child()
	}
	if err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	return s, nil
}

// child gives the supervisor process, which it starts if there is none.
func (s *Supervisor) child() (*child, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, os.ErrClosed
	}
	if s.current == nil {
		started, err := startChild(s.cfg)
		if err != nil {
			return nil, err
		}
		s.current = started
		go s.follow(started)
	}
	return s.current, nil
}

// follow hears the supervisor process until it is gone, ends what is left of its runs, and starts another.
func (s *Supervisor) follow(c *child) {
	err := c.listen()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	lost := c.bury()
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
	close(c.gone)
	if closed {
		return
	}
	s.cfg.Logger.Error("supervisor is gone; its runs were ended, and another one is started", "count", lost, "error", err)
	if _, err := s.child(); err != nil && !errors.Is(err, os.ErrClosed) {
		s.cfg.Logger.Error("supervisor could not be started; the next run tries again", "error", err)
	}
}

// Start starts a command. Its error is that of the system if the program could not be started (an fs.PathError), ErrGone,
// or one that names what of the sandbox this host cannot give. If ctx ends first, the command is killed. The caller
// closes cmd.Files afterwards.
func (s *Supervisor) Start(ctx context.Context, cmd Command) (*Process, error) {
	for {
		c, err := s.child()
		if err != nil {
			return nil, err
		}
		p, err := c.start(ctx, cmd)
		if !errors.Is(err, errDying) {
			return p, err
		}
		<-c.gone // its runs are being ended; then there is another
	}
}

// Close ends all runs and the supervisor process, and returns when it is gone.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	s.closed = true
	c := s.current
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	_ = c.link.conn.CloseWrite() // the supervisor sees this end as gone
	frozen := time.AfterFunc(3*s.cfg.patience, c.replace)
	defer frozen.Stop()
	<-c.gone
	return nil
}

// PID is the process id of the supervisor process, 0 if there is none right now.
func (s *Supervisor) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return 0
	}
	return s.current.cmd.Process.Pid
}

// child is one supervisor process.
type child struct {
	cmd      *exec.Cmd
	link     *link
	instance uint64
	gone     chan struct{} // closed when it and its runs are gone
	patience time.Duration

	mu        sync.Mutex
	dead      bool
	next      uint64
	processes map[uint64]*Process
}

func startChild(cfg Config) (*child, error) {
	instance := uint64(1)<<39 | rand.Uint64N(1<<39)
	ours, theirs, err := Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	arguments := []string{supervisorName, fmt.Sprint(instance)}
	if cfg.WithoutCgroups {
		arguments = append(arguments, argWithoutCgroups)
	}
	cmd := &exec.Cmd{
		Path: Program, Args: arguments, Dir: "/",
		Env:        keepEnviron(os.Environ()),
		ExtraFiles: []*os.File{theirs}, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	c := &child{cmd: cmd, instance: instance, gone: make(chan struct{}), patience: cfg.patience, processes: map[uint64]*Process{}}
	if c.link, err = newLink(ours); err == nil {
		c.link.patience = cfg.patience
		err = c.awaitReady()
	}
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, errors.Join(err, cmd.Wait())
	}
	return c, nil
}

// keepEnviron is what a supervisor needs of the worker's environment: how the Go runtime behaves. No secret is in it.
func keepEnviron(environ []string) []string {
	kept := []string{}
	for _, entry := range environ {
		for _, name := range []string{"GODEBUG=", "GOTRACEBACK=", "GORACE=", "GOCOVERDIR="} {
			if len(entry) > len(name) && entry[:len(name)] == name {
				kept = append(kept, entry)
			}
		}
	}
	return kept
}

// replace kills the supervisor process, which follow notices.
func (c *child) replace() { _ = c.cmd.Process.Kill() }

// send tells the supervisor process something. One that does not take it in time (it may be frozen) is replaced.
func (c *child) send(what request, files ...*os.File) error {
	err := c.link.send(what, files...)
	if err != nil && !errors.Is(err, errMessage) {
		c.replace()
	}
	return err
}

func (c *child) awaitReady() error {
	_ = c.link.conn.SetReadDeadline(time.Now().Add(startPatience))
	var first reply
	files, err := c.link.receive(&first)
	closeAll(files)
	if err == nil && first.Op != opReady {
		err = errors.New(first.Error)
	}
	_ = c.link.conn.SetReadDeadline(time.Time{})
	return err
}

// listen hands out what the supervisor says, until it is gone.
func (c *child) listen() error {
	for {
		var said reply
		files, err := c.link.receive(&said)
		closeAll(files)
		if err != nil {
			return err
		}
		c.mu.Lock()
		p := c.processes[said.Run]
		if said.Op != opStarted {
			delete(c.processes, said.Run)
		}
		c.mu.Unlock()
		if p != nil {
			p.hear(said)
		}
	}
}

// bury sees to it that the process and all of its runs are gone, and tells their waiters. It gives how many there were.
func (c *child) bury() int {
	c.mu.Lock()
	c.dead = true
	lost := c.processes
	c.processes = nil
	c.mu.Unlock()
	_ = c.link.conn.Close()
	if !waitFor(c.cmd, startPatience) {
		_ = c.cmd.Process.Kill()
	}
	_ = c.cmd.Wait()
	stuck := !endMarked(c.instance)
	for _, p := range lost {
		p.hear(reply{Op: opEnded, End: &End{Code: -1, Signal: int(unix.SIGKILL), Killed: KilledLost, Stuck: stuck}})
	}
	return len(lost)
}

// Pair gives two connected sockets that nothing inherits unless it is given one, as one of a Command's Files.
func Pair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(pair[0])
		unix.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil { // so that deadlines, and closing it, end a read
		return nil, nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(pair[0]), unix.Close(pair[1]))
	}
	return os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control"), nil
}
