package supervisor

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markBits is how much of a mark tells the runs of one supervisor apart. What is above is the supervisor's own.
const markBits = 20

// endAll kills what find visits, until twice in a row it finds nothing alive. False says that something would not die.
//
// Each process is stopped as soon as it is found, before its children are looked for, and all is looked for again as long as
// that finds more: only then does nothing fork any more, and all can be killed.
func endAll(find func(visit func(stat))) bool {
	deadline := time.Now().Add(killPatience)
	stopped := map[stat]bool{}
	wait, clean := 100*time.Microsecond, false
	for {
		var living []stat
		fresh := false
		find(func(p stat) {
			if !p.alive() {
				return
			}
			living = append(living, p)
			if key := (stat{pid: p.pid, start: p.start}); !stopped[key] {
				p.send(unix.SIGSTOP)
				stopped[key], fresh = true, true
			}
		})
		if len(living) == 0 {
			if clean {
				return true
			}
			clean = true
			continue
		}
		clean = false
		late := time.Now().After(deadline)
		if fresh && !late {
			continue
		}
		for _, p := range living {
			p.send(unix.SIGKILL)
		}
		if late {
			return false
		}
		pause(wait)
		wait = min(2*wait, 20*time.Millisecond)
	}
}

// pause gives processes that were killed time to end: nothing tells of the end of one that is not a child.
func pause(d time.Duration) { <-time.After(d) }

// reapIfOurs takes away a process that has ended and is this one's child: the first process of a container gets all orphans.
func (s stat) reapIfOurs() {
	if !s.alive() && s.parent == os.Getpid() {
		_, _ = syscall.Wait4(s.pid, nil, syscall.WNOHANG, nil)
	}
}

// endMarked ends whatever carries a mark of this supervisor, which is gone. Its processes may be anyone's children by now.
func endMarked(instance uint64) bool {
	endCgroups(instance)
	return endAll(func(visit func(stat)) {
		entries, _ := os.ReadDir("/proc")
		for _, entry := range entries {
			pid, err := strconv.Atoi(entry.Name())
			if err != nil {
				continue
			}
			if mark, ok := readMark(pid); ok && mark>>markBits == instance {
				if s, ok := readStat(pid); ok {
					visit(s)
					s.reapIfOurs()
				}
			}
		}
	})
}

// Program is this very program, as a Command's Path: also if its file has been replaced meanwhile, and also in the supervisor, which is
// the same.
const Program = "/proc/self/exe"

// waitFor reports whether a process ends in time. It is not reaped.
func waitFor(cmd *exec.Cmd, patience time.Duration) bool {
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		return true
	}
	defer func() { _ = unix.Close(fd) }()
	deadline := time.Now().Add(patience)
	for {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(left, 0).Milliseconds()))
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return true
		}
		if left <= 0 {
			return false
		}
	}
}
