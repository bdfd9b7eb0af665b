//go:build unix

package testenv

import (
	"syscall"
	"testing"
)

// Prioritize has the kernel prefer the server to everything else on the machine, so that the times which it measures
// are its own. Without the right to do so, times include waiting for a processor.
func (s *RedisServer) Prioritize(t testing.TB) {
	t.Helper()
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, s.cmd.Process.Pid, -20); err != nil {
		t.Logf("the redis-server runs at ordinary priority: %v", err)
	}
}
