package subprocess

import (
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// drainTime is how long output is still read after the command has ended. What it wrote is in the pipe already; only a
// descendant that left the group can keep the pipe open longer, and it cannot hold the run.
const drainTime = time.Second

// output is the command's two streams: both go to the run's log, and the end of standard error is kept for the message.
// Each is rid of secrets by itself, before its end is cut off.
type output struct {
	task           executor.Task
	left           atomic.Int64 // bytes that may still be written, where there is a limit
	limit          store.Size   // 0 for none
	over           chan<- *exceeded
	errors         *executor.Tail
	stdout, stderr pipe
	copying        sync.WaitGroup
}

type pipe struct{ read, write *os.File }

// newOutput opens the pipes. They are the executor's own, not os/exec's, whose Wait would wait for every descendant
// that inherited them.
func newOutput(task executor.Task, limit store.Size, over chan<- *exceeded) (*output, error) {
	o := &output{task: task, limit: limit, over: over, errors: executor.NewTail(executor.MaxErrorOutput)}
	o.left.Store(int64(limit))
	for _, p := range []*pipe{&o.stdout, &o.stderr} {
		var err error
		if p.read, p.write, err = os.Pipe(); err != nil {
			o.close()
			return nil, err
		}
	}
	return o, nil
}

// follow starts copying, once the command has its own ends of the pipes.
func (o *output) follow() {
	closeFile(o.stdout.write)
	closeFile(o.stderr.write)
	o.copying.Go(func() { o.drain(o.stdout.read, o.task.Conceal(o.task.Output())) })
	o.copying.Go(func() { o.drain(o.stderr.read, o.task.Conceal(io.MultiWriter(o.task.Output(), o.errors))) })
}

// finish waits until all that the command wrote has been copied.
func (o *output) finish() {
	deadline := time.Now().Add(drainTime)
	_ = o.stdout.read.SetReadDeadline(deadline)
	_ = o.stderr.read.SetReadDeadline(deadline)
	o.copying.Wait()
}

// close frees whatever is still open; closing twice is harmless.
func (o *output) close() {
	for _, f := range []*os.File{o.stdout.read, o.stdout.write, o.stderr.read, o.stderr.write} {
		closeFile(f)
	}
}

// lastErrors is the end of what the command wrote to standard error.
func (o *output) lastErrors() string { return strings.TrimSpace(string(o.errors.Snapshot())) }

// drain copies from r until its end or deadline. A log never fails, so that no full pipe stops the command.
func (o *output) drain(r io.Reader, to io.WriteCloser) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		o.count(n)
		_, _ = to.Write(buffer[:n])
		if err != nil {
			return
		}
	}
}

// count holds what was written against the limit, and says once that it is exceeded.
func (o *output) count(n int) {
	if o.limit == 0 || n == 0 {
		return
	}
	if left := o.left.Add(-int64(n)); left < 0 && left+int64(n) >= 0 {
		o.over <- &exceeded{limitOutput, "more", o.limit.String()}
	}
}
