//go:build unix && !linux

package supervisor

import (
	"errors"
	"os/exec"
	"time"
)

// canSupervise: only Linux has subreapers, PDEATHSIG, ptrace as it is used here, and pidfds.
func canSupervise() error { return errNotLinux }

// Program is this very program, as a Command's Path.
const Program = ""

func bootTime(time.Time) int64 { return 0 }

func waitFor(*exec.Cmd, time.Duration) bool { return true }

func endMarked(uint64) bool { return true }

func serve() int { return 1 }

func probe([]string) int { return 1 }

// Describe says in words what a strict sandbox consists of.
func (Host) Describe() string { return "no strict sandbox" }

// Probe looks at this host.
func Probe() Host { return Host{Supervised: errNotLinux, Strict: errNotLinux} }

// errNotLinux is why nothing is supervised on other systems.
var errNotLinux = errors.New("supervised processes: found a system without subreapers and pidfds, allowed is Linux")
