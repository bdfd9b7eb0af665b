package secrets

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// HideProcess keeps what this process knows from the commands that it starts, which run as the same user: it blanks the
// environment that /proc/<pid>/environ shows (os.Getenv reads a copy, and goes on working), and lets nobody but root
// read the process's memory or attach to it. It has no effect on processes that this one starts.
func HideProcess() error {
	if err := blankEnvironment(); err != nil {
		return fmt.Errorf("hide environment: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide memory: %w", err)
	}
	return nil
}

// Fields of /proc/<pid>/stat that follow the command's name (proc_pid_stat(5): 50 and 51, counted from 3).
const (
	envStart = 50 - 3
	envEnd   = 51 - 3
)

func blankEnvironment() error {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= envEnd {
		return fmt.Errorf("found %d fields in /proc/self/stat, expected %d", len(fields), envEnd+1)
	}
	start, err1 := strconv.ParseInt(string(fields[envStart]), 10, 64)
	end, err2 := strconv.ParseInt(string(fields[envEnd]), 10, 64)
	if err1 != nil || err2 != nil || start <= 0 || end < start {
		return fmt.Errorf("found an environment from %s to %s in /proc/self/stat", fields[envStart], fields[envEnd])
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	_, err = memory.WriteAt(make([]byte, end-start), start)
	return err
}
