package supervisor

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// rlimitMark is RLIMIT_LOCKS: see the package comment.
const rlimitMark = 10

// memorySlack is how far the memory that one process asks for may exceed the run's limit, at least. What a process has
// asked for and not touched is no memory yet, and some runtimes ask for much. The limit itself is kept by watching; this one holds
// where something grows faster than it is watched.
const memorySlack = 512 << 20

// setLimits gives the run's command its mark and limits, which whatever it starts inherits.
func setLimits(r *run, pid int) error {
	limits := r.command.Limits
	seconds := uint64((limits.CPU + time.Second - 1) / time.Second)
	data := uint64(limits.Memory + max(limits.Memory, memorySlack))
	var tasks uint64
	if limits.Processes > 0 {
		tasks = r.server.limits.limit(r.server, r.user(), limits.Processes)
	}
	for _, limit := range []struct {
		name       string
		resource   int
		soft, hard uint64
		set        bool
	}{
		{"mark", rlimitMark, r.mark, r.mark, true},
		{"core dumps", unix.RLIMIT_CORE, 0, 0, true},
		{LimitCPU, unix.RLIMIT_CPU, seconds, seconds + 5, limits.CPU > 0},
		{LimitMemory, unix.RLIMIT_DATA, data, data, limits.Memory > 0},
		{LimitProcesses, unix.RLIMIT_NPROC, tasks, tasks, tasks > 0},
		{LimitOpenFiles, unix.RLIMIT_NOFILE, uint64(limits.OpenFiles), uint64(limits.OpenFiles), limits.OpenFiles > 0},
		{LimitFileSize, unix.RLIMIT_FSIZE, uint64(limits.FileSize), uint64(limits.FileSize), limits.FileSize > 0},
	} {
		if !limit.set {
			continue
		}
		if err := lower(pid, limit.resource, limit.soft, limit.hard); err != nil {
			return &SandboxError{What: "limit of " + limit.name, Err: err}
		}
	}
	return nil
}

// lower sets a limit, but never above what stands already.
func lower(pid, resource int, soft, hard uint64) error {
	var now unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &now); err != nil {
		return os.NewSyscallError("prlimit", err)
	}
	limit := unix.Rlimit{Cur: min(soft, now.Max), Max: min(hard, now.Max)}
	return os.NewSyscallError("prlimit", unix.Prlimit(pid, resource, &limit, nil))
}

// preferSelf has the kernel run this process before ordinary ones, if it may: a fork bomb must not keep it from being
// ended. It does little, and waits for most of the time. It gives how the process was scheduled before, nil if nothing has changed.
func preferSelf() *unix.SchedAttr {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Policy != unix.SCHED_NORMAL {
		return nil
	}
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err == nil {
			err = unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
		}
		if err != nil {
			return nil
		}
	}
	return before
}

// preferLess makes a command as ordinary as its supervisor was.
func preferLess(pid int, ordinary *unix.SchedAttr) error {
	if ordinary == nil {
		return nil
	}
	attributes := *ordinary // the call writes to it
	return os.NewSyscallError("sched_setattr", unix.SchedSetAttr(pid, &attributes, 0))
}

// user is whom the command runs as.
func (r *run) user() uint32 {
	if box := r.command.Sandbox; box.User != nil {
		return *box.User
	}
	return uint32(os.Geteuid())
}
