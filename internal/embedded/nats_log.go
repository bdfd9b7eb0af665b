package embedded

import (
	"fmt"
	"sync"
)

// faults keeps why a server cannot start: the server tells its log and nobody else.
type faults struct {
	once  sync.Once
	fatal chan error // at most one
}

func newFaults() *faults { return &faults{fatal: make(chan error, 1)} }

// Fatalf is called where the server gives up.
func (f *faults) Fatalf(format string, args ...any) {
	f.once.Do(func() { f.fatal <- fmt.Errorf(format, args...) })
}

// The rest of the server's logging interface; a server for trying things out has nothing to add.

func (f *faults) Noticef(string, ...any) {}
func (f *faults) Warnf(string, ...any)   {}
func (f *faults) Errorf(string, ...any)  {}
func (f *faults) Debugf(string, ...any)  {}
func (f *faults) Tracef(string, ...any)  {}
