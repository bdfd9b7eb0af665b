package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/supervisor"
)

// pool has the processes that wait for a run. It is safe for concurrent use.
type pool struct {
	cfg ProcessConfig

	mu     sync.Mutex
	idle   []*child // the one that ran last is last
	closed bool
}

// take gives a process that runs nothing: one that waits, or a new one.
func (p *pool) take(ctx context.Context) (*child, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, os.ErrClosed
		}
		last := len(p.idle) - 1
		if last < 0 {
			p.mu.Unlock()
			return startChild(ctx, p.cfg)
		}
		c := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		if c.living() {
			return c, nil
		}
		c.retire()
	}
}

// give takes a process back after a run, or ends it: when the run failed, when it has had its share of runs, and when enough
// others wait.
func (p *pool) give(c *child, failed bool) {
	p.mu.Lock()
	keep := !failed && !p.closed && c.runs < uint64(p.cfg.Reuse) && len(p.idle) < p.cfg.Idle && c.living()
	if keep {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !keep {
		c.retire()
	}
}

// close ends all that wait. Those that run are ended when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.retire()
	}
}

// child is a process for functions. It runs one at a time.
type child struct {
	process *supervisor.Process
	control *os.File
	out     *sender
	printed *executor.Tail // the end of what it wrote to its streams, not to a run's log
	runs    uint64

	mu      sync.Mutex
	current uint64
	log     io.Writer            // of the current run
	result  chan executor.Result // takes the current run's
	reading sync.WaitGroup
}

// printedBytes is how much is kept of what a process prints: the Go runtime's last words come before long stacks.
const printedBytes = 128 << 10

func startChild(ctx context.Context, cfg ProcessConfig) (*child, error) {
	ours, theirs, err := supervisor.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	read, write, err := os.Pipe()
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	defer write.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		_, _ = ours.Close(), read.Close()
		return nil, err
	}
	defer null.Close()
	process, err := cfg.Supervisor.Start(ctx, supervisor.Command{
		Path: supervisor.Program, Args: []string{roleName}, Env: append([]string{}, cfg.Env...), Dir: workingFolder(),
		Files: []*os.File{null, write, write, theirs}, Limits: cfg.Limits, Sandbox: supervisor.Sandbox{Level: supervisor.LevelStandard},
	})
	if err != nil {
		_, _ = ours.Close(), read.Close()
		return nil, err
	}
	c := &child{process: process, control: ours, out: &sender{to: ours}, printed: executor.NewTail(printedBytes)}
	c.reading.Go(c.listen)
	c.reading.Go(func() { c.drain(read) })
	return c, nil
}

// workingFolder is the worker's own, so that a function finds the same files wherever it runs.
func workingFolder() string {
	dir, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return dir
}

// listen hears the process until its end.
func (c *child) listen() {
	for {
		var said report
		if receive(c.control, &said) != nil {
			return
		}
		c.mu.Lock()
		current, log, result := c.current, c.log, c.result
		if said.Run == current && said.Result != nil {
			c.current = 0 // what comes now is late
		}
		c.mu.Unlock()
		switch {
		case said.Run != current || current == 0:
		case said.Result != nil:
			result <- said.Result.result()
		case len(said.Log) > 0:
			_, _ = log.Write(said.Log)
		}
	}
}

// drain takes what the process writes to its streams: into the log of the run under way, and for the error if it dies.
func (c *child) drain(from *os.File) {
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			_, _ = c.printed.Write(buffer[:n])
			c.mu.Lock()
			log, running := c.log, c.current != 0
			c.mu.Unlock()
			if running {
				_, _ = log.Write(buffer[:n])
			}
		}
		if err != nil {
			return
		}
	}
}

// begin has the process start a run, whose result will come over the channel.
func (c *child) begin(task executor.Task) (<-chan executor.Result, error) {
	result := make(chan executor.Result, 1)
	c.mu.Lock()
	c.runs++
	c.current, c.log, c.result = c.runs, task.Output(), result
	c.mu.Unlock()
	return result, c.tell(order{Run: c.runs, Task: toWire(task)})
}

// tell gives up on a process that does not listen.
func (c *child) tell(what order) error {
	_ = c.control.SetWriteDeadline(time.Now().Add(tellPatience))
	return c.out.send(what)
}

// tellPatience is how long a process may take to hear something: it listens all the time, unless it is frozen.
const tellPatience = 10 * time.Second

// stop tells the function of the current run that its context has ended.
func (c *child) stop(cause error) { _ = c.tell(order{Run: c.runs, Stop: cause.Error()}) }

func (c *child) living() bool {
	select {
	case <-c.process.Done():
		return false
	default:
		return true
	}
}

// retire ends the process, and waits until it is gone.
func (c *child) retire() {
	c.process.Kill()
	<-c.process.Done()
	_ = c.control.Close()
	c.reading.Wait()
}

// lastWords says how the process ended, with the end of what it printed.
func (c *child) lastWords() error {
	end := c.process.End()
	text := fmt.Sprintf("function ended its process with exit code %d", end.Code)
	switch {
	case end.Exceeded != nil:
		text = fmt.Sprintf("limit of %s exceeded: found %s", end.Exceeded.Limit, end.Exceeded.Found)
	case end.Killed == supervisor.KilledDeadline:
		text = "function's process was ended: its lease was not renewed in time"
	case end.Killed != "":
		text = "function's process was ended: " + end.Killed
	case end.Signal != 0:
		text = fmt.Sprintf("function's process was ended by signal %s", unix.SignalName(unix.Signal(end.Signal)))
	}
	if said := gist(string(c.printed.Snapshot())); said != "" {
		text += ": " + said
	}
	return errors.New(text)
}

// gist is what matters of what a process printed before it died: what the Go runtime says of a fatal error, without the stack that
// follows, or else the end.
func gist(printed string) string {
	for _, mark := range []string{"fatal error: ", "panic: "} {
		if at := strings.LastIndex(printed, mark); at >= 0 {
			said, _, _ := strings.Cut(printed[at:], "\n\n")
			return strings.TrimSpace(said)
		}
	}
	return strings.TrimSpace(printed[max(len(printed)-shortText, 0):])
}

// shortText bounds, in bytes, what is told of the output of a process that died without a word of the runtime's.
const shortText = 1 << 10
