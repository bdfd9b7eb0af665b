package supervisor

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchEvery is how often a run's deadline and what it uses are looked at.
const watchEvery = 50 * time.Millisecond

// run is one command with all that it starts.
type run struct {
	server  *server
	id      uint64
	mark    uint64
	command Command
	until   atomic.Int64 // ns of CLOCK_BOOTTIME, 0 for never
	killed  chan string  // why it is to be ended; holds the first reason

	mu     sync.Mutex
	pid    int // 0 before it is started
	reaped bool
	group  *cgroup

	usage usage
}

// live starts the command, waits for its end or brings it about, and tells the worker.
func (r *run) live(files []*os.File) {
	s := r.server
	born, err := s.spawn(r, files)
	closeAll(files)
	if err != nil {
		s.forget(r)
		s.refuse(r, err)
		return
	}
	_ = s.link.send(reply{Op: opStarted, Run: r.id, PID: r.pid, Applied: born.applied})
	end := r.watch(born.exited)
	r.finish(born.exited, &end)
	s.forget(r)
	_ = s.link.send(reply{Op: opEnded, Run: r.id, End: &end})
}

// watch blocks until the command has ended, or the run has to be.
func (r *run) watch(exited <-chan struct{}) End {
	look := time.NewTicker(watchEvery)
	defer look.Stop()
	for {
		select {
		case <-exited:
			return End{}
		case why := <-r.killed:
			return End{Killed: why}
		case <-look.C:
		}
		if until := r.until.Load(); until != 0 && bootNow() > until {
			return End{Killed: KilledDeadline}
		}
		var living []stat
		r.visit(func(p stat) {
			if p.alive() {
				living = append(living, p)
			}
		})
		if exceeded := r.usage.look(living, r.command.Limits); exceeded != nil {
			return End{Killed: KilledLimit, Exceeded: exceeded}
		}
	}
}

// finish ends what is left of the run, and sums it up.
func (r *run) finish(exited <-chan struct{}, end *End) {
	r.signalGroup(unix.SIGKILL) // at once, and nothing in the group can fork meanwhile
	r.group.end()
	end.Stuck = !endAll(r.visit)
	select {
	case <-exited:
		r.reap(end)
	case <-time.After(killPatience):
		end.Stuck, end.Code = true, -1
	}
	r.server.adopted() // reaps orphans that have just ended
	r.usage.sum(end, r.command.Limits)
}

// reap takes the command's exit status. Until then its number cannot be another process's.
func (r *run) reap(end *End) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status syscall.WaitStatus
	var used syscall.Rusage
	for {
		_, err := syscall.Wait4(r.pid, &status, 0, &used)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	r.reaped = true
	r.server.mu.Lock()
	delete(r.server.commands, r.pid)
	r.server.mu.Unlock()
	r.account(used)
	end.Code = status.ExitStatus()
	if status.Signaled() {
		end.Signal = int(status.Signal())
	}
}

// visit goes through all processes of the run.
func (r *run) visit(visit func(stat)) {
	r.mu.Lock()
	var roots []int
	if r.pid != 0 && !r.reaped {
		roots = append(roots, r.pid)
	}
	r.mu.Unlock()
	family(append(roots, r.server.adopted()[r.mark]...), visit)
}

// kill has the run ended. The first reason counts.
func (r *run) kill(why string) {
	select {
	case r.killed <- why:
	default:
	}
}

// signalGroup signals the command and what shares its process group.
func (r *run) signalGroup(sig unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid != 0 && !r.reaped {
		_ = unix.Kill(-r.pid, sig)
	}
}

func (r *run) account(used syscall.Rusage) { r.usage.account(used) }

// usage is what a run has used so far.
type usage struct {
	mu        sync.Mutex
	cpu       time.Duration // of processes that were waited for
	seenCPU   time.Duration // of all that was seen at once
	memory    int64         // bytes, at the peak
	openFiles int
}

// account adds what a process has used that was waited for. Its peak of memory starts with what the supervisor has, of which it
// was a copy before it became the command: a peak that is no higher than the supervisor's own says nothing.
func (u *usage) account(used syscall.Rusage) {
	var own syscall.Rusage
	known := syscall.Getrusage(syscall.RUSAGE_SELF, &own) == nil && used.Maxrss > own.Maxrss
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cpu += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	if known {
		u.memory = max(u.memory, used.Maxrss<<10)
	}
}

// look notes what the processes use now, and gives the limit that this exceeds, if any.
func (u *usage) look(processes []stat, limits Limits) *Exceeded {
	var cpu time.Duration
	var memory int64
	files := 0
	for _, p := range processes {
		cpu += p.cpu
		memory += p.resident
		if limits.OpenFiles > 0 {
			files = max(files, openFiles(p.pid))
		}
	}
	if limits.Memory > 0 && memory > limits.Memory && len(processes) > 1 {
		memory = sharedMemory(processes) // memory counts what they share several times
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seenCPU = max(u.seenCPU, cpu+u.cpu)
	u.memory = max(u.memory, memory)
	u.openFiles = max(u.openFiles, files)
	switch {
	case limits.Processes > 0 && len(processes) > limits.Processes:
		return &Exceeded{LimitProcesses, fmt.Sprint(len(processes))}
	case limits.Memory > 0 && memory > limits.Memory:
		return &Exceeded{LimitMemory, fmt.Sprintf("%d bytes", memory)}
	case limits.CPU > 0 && u.seenCPU > limits.CPU:
		return &Exceeded{LimitCPU, u.seenCPU.String()}
	}
	return nil
}

// sum completes what is told of the run. A command that the kernel stopped at a limit is told as such: by the signal, or
// because it failed with its memory or descriptors used up.
func (u *usage) sum(end *End, limits Limits) {
	u.mu.Lock()
	defer u.mu.Unlock()
	end.CPU, end.Memory, end.OpenFiles = max(u.cpu, u.seenCPU), u.memory, u.openFiles
	ended := func(sig unix.Signal) bool {
		return end.Signal == int(sig) || end.Code == 128+int(sig) // what a shell says of its last command
	}
	switch failed := end.Code != 0; {
	case end.Killed != "" || !failed:
	case limits.CPU > 0 && ended(unix.SIGXCPU):
		end.Exceeded = &Exceeded{LimitCPU, end.CPU.String()}
	case limits.FileSize > 0 && ended(unix.SIGXFSZ):
		end.Exceeded = &Exceeded{LimitFileSize, "a write beyond it"}
	case limits.Memory > 0 && end.Memory >= limits.Memory-limits.Memory/8:
		end.Exceeded = &Exceeded{LimitMemory, fmt.Sprintf("%d bytes", end.Memory)}
	case limits.OpenFiles > 0 && end.OpenFiles >= limits.OpenFiles:
		end.Exceeded = &Exceeded{LimitOpenFiles, fmt.Sprint(end.OpenFiles)}
	}
}
