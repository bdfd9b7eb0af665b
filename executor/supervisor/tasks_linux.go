package supervisor

import (
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// taskLimits find the RLIMIT_NPROC of commands, which keeps a fork bomb from filling the machine before the watch sees it.
// The kernel counts the tasks (processes and threads) of a user, all of them, and not those of a run; so the limit is what there is of
// the user, the run's own limit, and room for what else the user starts meanwhile. Tasks in other containers count as well
// where they have the same user, and cannot be seen: whether there is room is tried, and where there is none, or the user is root, which
// the kernel does not hold to this limit, there is no such limit.
type taskLimits struct {
	mu    sync.Mutex
	users map[uint32]taskCount
}

// taskCount is how many tasks a user was seen to have, and whether the kernel counts about as many.
type taskCount struct {
	tasks uint64
	right bool
	at    time.Time
}

const (
	taskRoom  = 2048             // for what else the user starts
	taskEvery = 30 * time.Second // how long a count is believed
)

// limit gives the RLIMIT_NPROC for a run, 0 for none.
func (l *taskLimits) limit(s *server, user uint32, processes int) uint64 {
	if user == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known, counted := l.users[user]
	if !counted || time.Since(known.at) > taskEvery {
		known = taskCount{tasks: countTasks(user), at: time.Now()}
		known.right = s.canForkUnder(user, known.tasks+taskRoom/2)
		l.users[user] = known
	}
	if !known.right {
		return 0
	}
	return known.tasks + taskRoom + uint64(processes)
}

// countTasks counts the tasks of a user that can be seen.
func countTasks(user uint32) uint64 {
	var tasks uint64
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		info, err := os.Stat("/proc/" + entry.Name())
		if err != nil {
			continue
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid == user {
			found, _ := readStat(pid)
			tasks += uint64(found.threads)
		}
	}
	return tasks
}

// canForkUnder reports whether a process of the user with this RLIMIT_NPROC can start another one.
func (s *server) canForkUnder(user uint32, limit uint64) bool {
	cmd := &exec.Cmd{
		Path: Program, Args: []string{probeName, probeFork, strconv.FormatUint(limit, 10)}, Env: []string{}, SysProcAttr: &syscall.SysProcAttr{},
	}
	if user != uint32(os.Geteuid()) {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: user, Gid: user, NoSetGroups: true}
	}
	s.births.RLock()
	err := cmd.Start()
	if err == nil {
		s.mu.Lock()
		s.commands[cmd.Process.Pid] = true
		s.mu.Unlock()
	}
	s.births.RUnlock()
	if err != nil {
		return false
	}
	err = cmd.Wait()
	s.mu.Lock()
	delete(s.commands, cmd.Process.Pid)
	s.mu.Unlock()
	return err == nil
}

// probe is the life of a probe: it ends at once, or tries to fork first.
func probe(arguments []string) int {
	if len(arguments) != 2 || arguments[0] != probeFork {
		return 0
	}
	limit, err := strconv.ParseUint(arguments[1], 10, 64)
	if err != nil {
		return 1
	}
	if unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: limit, Max: limit}) != nil {
		return 1
	}
	if tryStart(&syscall.SysProcAttr{Ptrace: true}) != nil {
		return 1
	}
	return 0
}
