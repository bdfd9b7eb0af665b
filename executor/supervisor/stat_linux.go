package supervisor

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// stat is what /proc tells of a process. Pid and start together name it for ever.
type stat struct {
	pid, parent int
	state       byte
	cpu         time.Duration // of itself and of the children that it waited for
	start       uint64        // clock ticks since boot
	threads     int
	resident    int64 // bytes
}

func (s stat) alive() bool { return s.state != 'Z' && s.state != 'X' }

// ticks per second of the times in /proc: fixed for all architectures that Go runs on.
const tick = time.Second / 100

// readStat reads /proc/PID/stat. False says that there is no such process.
func readStat(pid int) (stat, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	return parseStat(pid, text)
}

func parseStat(pid int, text []byte) (stat, bool) {
	// The name may hold spaces and brackets; the last bracket ends it. After it come state (field 3), ppid (4), …
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return stat{}, false
	}
	number := func(field int) uint64 {
		n, _ := strconv.ParseUint(string(fields[field-3]), 10, 64)
		return n
	}
	var ticks uint64
	for field := 14; field <= 17; field++ { // utime, stime, cutime, cstime
		ticks += number(field)
	}
	return stat{
		pid: pid, parent: int(number(4)), state: fields[0][0], start: number(22), threads: int(number(20)),
		cpu: time.Duration(ticks) * tick, resident: int64(number(24)) * int64(os.Getpagesize()),
	}, true
}

// children lists the child processes of a process's threads, zombies included.
func (s stat) children() []int {
	folder := "/proc/" + strconv.Itoa(s.pid) + "/task/"
	if s.threads <= 1 {
		return childrenOf(folder + strconv.Itoa(s.pid) + "/children")
	}
	threads, _ := os.ReadDir(folder)
	var found []int
	for _, thread := range threads {
		found = append(found, childrenOf(folder+thread.Name()+"/children")...)
	}
	return found
}

func childrenOf(list string) []int {
	text, err := os.ReadFile(list)
	if err != nil {
		return nil
	}
	var found []int
	for _, field := range bytes.Fields(text) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// family visits the processes with these ids and all their descendants, each before its children are looked for. A list of
// children may miss some while they come and go; whoever has to find all asks again.
func family(roots []int, visit func(stat)) {
	for next := roots; len(next) > 0; {
		var below []int
		for _, pid := range next {
			if s, ok := readStat(pid); ok {
				visit(s)
				below = append(below, s.children()...)
			}
		}
		next = below
	}
}

// readMark gives a process's mark, or false where it has none that can be read.
func readMark(pid int) (uint64, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
	if err != nil {
		return 0, false
	}
	_, line, found := bytes.Cut(text, []byte("Max file locks"))
	fields := bytes.Fields(line)
	if !found || len(fields) < 2 {
		return 0, false
	}
	mark, err := strconv.ParseUint(string(fields[1]), 10, 64) // the hard limit
	return mark, err == nil
}

// sharedMemory is what the processes use, with each page that several share counted once. It takes a while.
func sharedMemory(processes []stat) int64 {
	var total int64
	for _, p := range processes {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/smaps_rollup")
		if err != nil {
			continue // it has ended
		}
		_, line, _ := bytes.Cut(text, []byte("\nPss:"))
		if fields := bytes.Fields(line); len(fields) > 0 {
			kilobytes, _ := strconv.ParseInt(string(fields[0]), 10, 64)
			total += kilobytes << 10
		}
	}
	return total
}

// openFiles is how many descriptors a process has. Linux tells that as the folder's size since 6.2; earlier it is 0.
func openFiles(pid int) int {
	info, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return 0
	}
	return int(info.Size())
}

// send signals a process, and no other that has its number by now.
func (s stat) send(sig unix.Signal) {
	fd, err := unix.PidfdOpen(s.pid, 0)
	if err != nil {
		return // it is gone
	}
	defer func() { _ = unix.Close(fd) }()
	if now, ok := readStat(s.pid); ok && now.start == s.start {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}
