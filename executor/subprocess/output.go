package subprocess

import (
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/systole-run/systole/executor"
)

// drainTime is how long output is still read after the command has ended. What it wrote is in the pipe already; only a
// descendant that left the group can keep the pipe open longer, and it cannot hold the run.
const drainTime = time.Second

// errorText bounds what of standard error goes into the run's error. It leaves room for what stands before it within
// executor.MaxText.
const errorText = executor.MaxText - 512

// output is the command's two streams: both go to the run's log, and the end of standard error is kept for the message.
type output struct {
	log            io.Writer
	errors         *executor.Tail
	stdout, stderr pipe
	copying        sync.WaitGroup
}

type pipe struct{ read, write *os.File }

// newOutput opens the pipes. They are the executor's own, not os/exec's, whose Wait would wait for every descendant
// that inherited them.
func newOutput(log io.Writer) (*output, error) {
	o := &output{log: log, errors: executor.NewTail(errorText)}
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
	o.copying.Go(func() { drain(o.stdout.read, o.log) })
	o.copying.Go(func() { drain(o.stderr.read, o.log, o.errors) })
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

// drain copies from r until its end or deadline. It goes on where a writer fails: a full pipe would stop the command.
func drain(r io.Reader, writers ...io.Writer) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		for _, w := range writers {
			_, _ = w.Write(buffer[:n])
		}
		if err != nil {
			return
		}
	}
}
