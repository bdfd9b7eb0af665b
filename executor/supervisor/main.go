package supervisor

import (
	"errors"
	"os"
	"sync/atomic"
)

// Names under which a program is started once more, as its argument 0. They also show in ps.
const (
	supervisorName = "systole-supervisor"
	probeName      = "systole-probe" // ends at once: shows whether processes can be started in some way
)

// probeFork is the first argument of a probe that is to find out whether it can fork under an RLIMIT_NPROC, which is the second.
const probeFork = "fork"

// argWithoutCgroups is the supervisor's second argument where it is to use no control groups. The first is its instance.
const argWithoutCgroups = "without-cgroups"

// control is the descriptor on which a process that Main takes over talks to the one that started it.
const control = 3

// Role is something else that a program can be started as, by a Command whose first argument is its Name.
type Role struct {
	Name string
	// Run does it, and gives the exit status. Control is the command's descriptor 3.
	Run func(control *os.File) int
}

// called says that Main has been called: what is started again will not run as the whole program once more. It is the
// one variable of this package, since it is a fact about the program.
var called atomic.Bool

// errNotCalled is why no program is started again.
var errNotCalled = errors.New("supervisor.Main was not called: call it first thing in main, since this program is started once more as its own supervisor")

// Main must be called first thing in main by every program that uses Start. Where the program was started again as a
// supervisor, or in one of roles, it does that and exits. Otherwise it returns at once.
func Main(roles ...Role) {
	switch os.Args[0] {
	case supervisorName:
		os.Exit(serve())
	case probeName:
		os.Exit(probe(os.Args[1:]))
	}
	for _, role := range roles {
		if os.Args[0] == role.Name {
			os.Exit(role.Run(os.NewFile(control, "control")))
		}
	}
	called.Store(true)
}
