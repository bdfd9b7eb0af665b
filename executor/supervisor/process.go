package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// Process is a started command with all that it starts. It is safe for concurrent use.
type Process struct {
	child   *child
	run     uint64
	path    string
	began   chan error    // told once: nil when the command has been started
	done    chan struct{} // closed when nothing is left of the run
	started reply
	end     End // readable once done is closed
}

func (c *child) start(ctx context.Context, cmd Command) (*Process, error) {
	p := &Process{child: c, path: cmd.Path, began: make(chan error, 1), done: make(chan struct{})}
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return nil, errDying
	}
	c.next++
	p.run = c.next
	c.processes[p.run] = p
	c.mu.Unlock()
	err := c.send(request{Op: opStart, Run: p.run, Command: &cmd, Until: bootTime(cmd.Until)}, cmd.Files...)
	if err != nil {
		c.mu.Lock()
		delete(c.processes, p.run)
		c.mu.Unlock()
		if errors.Is(err, errMessage) {
			return nil, err
		}
		return nil, errDying
	}
	slow := time.AfterFunc(startPatience, c.replace)
	defer slow.Stop()
	select {
	case err = <-p.began:
	case <-ctx.Done():
		p.Kill()
		err = <-p.began // soon: killed or not started
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// hear takes what the supervisor says of this run.
func (p *Process) hear(said reply) {
	switch said.Op {
	case opStarted:
		p.started = said
		p.began <- nil
	case opRefused:
		p.began <- refusal(p.path, said)
	case opEnded:
		select { // a run whose supervisor is gone may not have begun
		case p.began <- ErrGone:
		default:
		}
		p.end = *said.End
		close(p.done)
	}
}

func refusal(path string, said reply) error {
	if said.Errno != 0 {
		return &fs.PathError{Op: "fork/exec", Path: path, Err: syscall.Errno(said.Errno)}
	}
	return fmt.Errorf("%s", said.Error)
}

// PID is the command's process id.
func (p *Process) PID() int { return p.started.PID }

// Applied names what of the sandbox is in force, for people.
func (p *Process) Applied() []string { return p.started.Applied }

// Done is closed when nothing of the run is left.
func (p *Process) Done() <-chan struct{} { return p.done }

// End is how the run ended. It may be called once Done is closed.
func (p *Process) End() End { return p.end }

// Terminate sends SIGTERM to the command and its process group.
func (p *Process) Terminate() { p.tell(request{Op: opTerminate}) }

// Kill ends the run with all that it started. If the supervisor does not do so in time (it may be frozen), it is replaced,
// which ends all of its runs.
func (p *Process) Kill() {
	p.tell(request{Op: opKill})
	go func() {
		late := time.NewTimer(2 * p.child.patience)
		defer late.Stop()
		select {
		case <-p.done:
		case <-late.C:
			p.child.replace()
		}
	}()
}

// Extend moves the time at which the run is ended; zero is never.
func (p *Process) Extend(until time.Time) { p.tell(request{Op: opExtend, Until: bootTime(until)}) }

// tell fails where the supervisor is gone, and then so is the run.
func (p *Process) tell(what request) {
	what.Run = p.run
	_ = p.child.send(what)
}
