package supervisor_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systole-run/systole/executor/supervisor"
)

// bomb forks as fast as it can, in sessions of its own, up to a thousand processes, so that a failing test leaves a machine
// that can still tell of it.
const bomb = `cat >$DIR/bomb <<'END'
[ $1 -lt 9 ] || exec sleep 300
setsid sh $DIR/bomb $(($1+1)) &
setsid sh $DIR/bomb $(($1+1)) &
exec sleep 300
END
exec sh $DIR/bomb 0`

func TestExceededLimitEndsTheRunAndIsNamed(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, c := range map[string]struct {
		cmd    supervisor.Command
		limits supervisor.Limits
		want   string
	}{
		"a busy loop":                     {command(t, "while :; do :; done"), supervisor.Limits{CPU: time.Second}, supervisor.LimitCPU},
		"busy loops beside each other":    {command(t, "for i in 1 2 3 4 5 6 7 8 9; do (while :; do :; done) & done; wait"), supervisor.Limits{CPU: time.Second}, supervisor.LimitCPU},
		"a fork bomb":                     {command(t, bomb), supervisor.Limits{Processes: 30}, supervisor.LimitProcesses},
		"a memory hog":                    {helper(t, "memory"), supervisor.Limits{Memory: 64 << 20}, supervisor.LimitMemory},
		"memory hogs beside each other":   {command(t, "for i in 1 2 3 4; do (head -c 30000000 /dev/zero | tail -c 30000000 | sleep 300) & done; wait"), supervisor.Limits{Memory: 64 << 20}, supervisor.LimitMemory},
		"a large file":                    {command(t, "head -c 3000000 /dev/zero >$DIR/file"), supervisor.Limits{FileSize: 1 << 20}, supervisor.LimitFileSize},
		"a hundred thousand opened files": {helper(t, "files"), supervisor.Limits{OpenFiles: 100}, supervisor.LimitOpenFiles},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cmd.Limits = c.limits
			end, output := run(t, s, c.cmd)
			if c.want == supervisor.LimitOpenFiles && strings.Contains(output, "too many open files") && end.Code == 1 {
				return // it may have been too fast to be seen
			}
			if end.Exceeded == nil || end.Exceeded.Limit != c.want || end.Stuck {
				t.Errorf("got %+v (exceeded %+v), %.200q", end, end.Exceeded, output)
			}
			if left := marked(t, c.cmd.Dir); !gone(left...) {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestAHundredRunsBesideAForkBombFinishUndisturbed(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, s *supervisor.Supervisor) {
		cmd := command(t, bomb)
		cmd.Limits.Processes = 100
		bad := begin(t, s, cmd)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if end, output := run(t, s, command(t, "echo fine")); end.Code != 0 || output != "fine\n" {
					t.Errorf("got %+v, %q", end, output)
				}
			})
		}
		all.Wait()
		if end, _ := bad.wait(); end.Exceeded == nil || end.Stuck {
			t.Errorf("the bomb: %+v", end)
		}
		if left := marked(t, cmd.Dir); !gone(left...) {
			t.Errorf("left: %v", left)
		}
	})
}
