package testenv

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// CPUTime is how long the server's command thread has been on a processor. Unlike the times of SLOWLOG it does not
// count waiting for one, so that it can be relied on where other tests run beside. Read it while the server is idle.
func (s *RedisServer) CPUTime(t testing.TB) time.Duration {
	t.Helper()
	pid := s.cmd.Process.Pid
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/schedstat", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	var onCPU int64
	if _, err := fmt.Sscan(string(data), &onCPU); err != nil {
		t.Fatalf("read schedstat %q: %v", data, err)
	}
	return time.Duration(onCPU)
}
