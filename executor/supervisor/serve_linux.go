package supervisor

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sandboxUmask leaves what a command makes to its user alone.
const sandboxUmask = 0o077

// server is the supervisor process.
type server struct {
	link     *link
	instance uint64
	pid      int
	groups   *cgroups
	limits   taskLimits
	umask    int             // the worker's
	ordinary *unix.SchedAttr // how commands are scheduled, nil if that is as this process is

	// births is held for reading from a fork until the command is in commands, so that none is taken for an orphan.
	births sync.RWMutex

	mu       sync.Mutex
	next     uint64
	runs     map[uint64]*run // by the worker's number
	marks    map[uint64]*run
	commands map[int]bool // process ids that are not reaped
	noUserNS bool         // this host was seen not to allow user namespaces

	running sync.WaitGroup
}

// serve is the life of the supervisor process: it ends when the worker is gone and all runs are.
func serve() int {
	s, err := newServer()
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	if err := s.link.send(reply{Op: opReady}); err != nil {
		return 0 // the worker is gone already
	}
	go s.keepHouse()
	for {
		var asked request
		files, err := s.link.receive(&asked)
		if err != nil {
			closeAll(files)
			break
		}
		s.handle(asked, files)
	}
	s.endEverything()
	return 0
}

func newServer() (*server, error) {
	if len(os.Args) < 2 {
		return nil, errors.New("found no instance, allowed is one as argument")
	}
	instance, err := strconv.ParseUint(os.Args[1], 10, 64)
	if err != nil {
		return nil, err
	}
	// Nobody but root may look into this process, which has descriptors of all runs.
	err1 := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	err2 := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	err3 := unix.CloseRange(control, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if errors.Is(err3, unix.ENOSYS) || errors.Is(err3, unix.EINVAL) { // before Linux 5.11; what Go opens is marked anyway
		unix.CloseOnExec(control)
		err3 = nil
	}
	_, err4 := os.Stat(leaderChildren(os.Getpid()))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	// The worker says when to end, also where these signals are sent to everything in a session or control group. They are
	// caught and not ignored, since what is ignored stays so in commands.
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	ordinary := preferSelf()
	var groups *cgroups
	if !slices.Contains(os.Args, argWithoutCgroups) {
		groups = newCgroups(instance)
	}
	link, err := newLink(os.NewFile(control, "worker"))
	return &server{
		link: link, instance: instance, umask: unix.Umask(sandboxUmask), pid: os.Getpid(), groups: groups, ordinary: ordinary,
		runs: map[uint64]*run{}, marks: map[uint64]*run{}, commands: map[int]bool{}, limits: taskLimits{users: map[uint32]taskCount{}},
	}, err
}

func (s *server) handle(asked request, files []*os.File) {
	if asked.Op == opStart && asked.Command != nil {
		s.begin(asked, files)
		return
	}
	closeAll(files)
	s.mu.Lock()
	r := s.runs[asked.Run]
	s.mu.Unlock()
	if r == nil {
		return // it has ended
	}
	switch asked.Op {
	case opExtend:
		r.until.Store(asked.Until)
	case opTerminate:
		r.signalGroup(unix.SIGTERM)
	case opKill:
		r.kill(KilledAsked)
	}
}

// begin takes a run on, and has it started.
func (s *server) begin(asked request, files []*os.File) {
	r := &run{server: s, id: asked.Run, command: *asked.Command, killed: make(chan string, 1)}
	r.until.Store(asked.Until)
	s.mu.Lock()
	r.mark = s.newMark()
	s.runs[r.id], s.marks[r.mark] = r, r
	s.mu.Unlock()
	s.running.Go(func() { r.live(files) })
}

// newMark gives a mark that no run has: a run may outlast as many others as there are marks.
func (s *server) newMark() uint64 {
	for {
		s.next++
		mark := s.instance<<markBits | s.next%(1<<markBits)
		if s.marks[mark] == nil {
			return mark
		}
	}
}

func (s *server) forget(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, r.id)
	delete(s.marks, r.mark)
}

// endEverything ends all runs, and what else may have become of them.
func (s *server) endEverything() {
	s.mu.Lock()
	for _, r := range s.runs {
		r.kill(KilledGone)
	}
	s.mu.Unlock()
	s.running.Wait()
	s.endStrays()
	s.groups.close()
}

// endStrays ends what belongs to no run.
func (s *server) endStrays() {
	endAll(func(visit func(stat)) { family(s.strays(), visit) })
}

// houseEvery is how often orphans are looked for although nothing has ended.
const houseEvery = 5 * time.Second

// keepHouse reaps processes that lost their parent and have ended, and ends those that belong to no run.
func (s *server) keepHouse() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	look := time.NewTicker(houseEvery) // for those that were left for later
	defer look.Stop()
	for {
		select {
		case <-ended:
		case <-look.C:
		}
		if len(s.strays()) > 0 {
			s.endStrays()
		}
	}
}

// leaderChildren lists the children of a process's first thread: those that it forked, and all that the process adopted.
func leaderChildren(pid int) string {
	return fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)
}

// adopted gives the processes that became this one's children because their parent died, by mark; 0 for those with
// none. It reaps those that have ended.
func (s *server) adopted() map[uint64][]int {
	if len(s.unknownChildren()) == 0 {
		return nil
	}
	// A fork can take long, where a file system hangs, and must not hold up the others' end. Then what has no mark of this supervisor
	// may be about to become a command, and is left for later.
	quiet := s.births.TryLock()
	unknown := s.unknownChildren()
	if quiet {
		s.births.Unlock()
	}
	found := map[uint64][]int{}
	for _, pid := range unknown {
		mark, _ := readMark(pid)
		if !quiet && mark>>markBits != s.instance {
			continue
		}
		if now, ok := readStat(pid); ok && !now.alive() {
			s.reap(pid, mark)
			continue
		}
		found[mark] = append(found[mark], pid)
	}
	return found
}

func (s *server) unknownChildren() []int {
	list := childrenOf(leaderChildren(s.pid))
	s.mu.Lock()
	defer s.mu.Unlock()
	unknown := list[:0]
	for _, pid := range list {
		if !s.commands[pid] {
			unknown = append(unknown, pid)
		}
	}
	return unknown
}

// reap takes an ended orphan away, and puts what it used to its run's account.
func (s *server) reap(pid int, mark uint64) {
	var usage syscall.Rusage
	if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, &usage); err != nil || got != pid {
		return
	}
	s.mu.Lock()
	r := s.marks[mark]
	s.mu.Unlock()
	if r != nil {
		r.account(usage)
	}
}

// strays are adopted processes with no living run's mark.
func (s *server) strays() []int {
	var found []int
	for mark, pids := range s.adopted() {
		s.mu.Lock()
		known := s.marks[mark] != nil
		s.mu.Unlock()
		if !known {
			found = append(found, pids...)
		}
	}
	return found
}

// refuse says that a run could not be started.
func (s *server) refuse(r *run, err error) {
	said := reply{Op: opRefused, Run: r.id, Error: err.Error()}
	var number syscall.Errno
	var sandbox *SandboxError
	if errors.As(err, &number) && !errors.As(err, &sandbox) {
		said.Errno = int(number)
	}
	_ = s.link.send(said)
}

// SandboxError says what of a sandbox, or of limits, this host cannot give.
type SandboxError struct {
	What string // such as "landlock"
	Err  error
}

func (e *SandboxError) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Err) }
func (e *SandboxError) Unwrap() error { return e.Err }
