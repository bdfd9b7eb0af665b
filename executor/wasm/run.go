package wasm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/bytesize"
	"github.com/systole-run/systole/store"
)

// MaxAnswer is how long standard output may be, in bytes, to be an answer that carries a cursor or message.
const MaxAnswer = 64 << 10

// run runs the module once, in an instance of its own.
func (e *Executor) run(ctx context.Context, task executor.Task, m *module, roots map[string]*os.Root) executor.Result {
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := newOutput(task, e.cfg.Output, func() { cancel(errOutput) })
	config, err := instanceConfig(bounded, task, out)
	if err != nil {
		return refused(fmt.Errorf("start module: %w", err))
	}
	instance, err := m.runtime.InstantiateModule(bounded, m.compiled, config.WithFSConfig(mounts(roots)))
	if err == nil {
		defer instance.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it has ended, and frees memory only
		_, err = instance.ExportedFunction(startFunction).Call(bounded)
	} else if bounded.Err() == nil {
		out.close()
		return refused(fmt.Errorf("start module: %w", err))
	}
	out.close()
	switch {
	case ctx.Err() != nil && !succeeded(err):
		return executor.Interrupted(ctx, errors.New("the module was ended"))
	case errors.Is(context.Cause(bounded), errOutput):
		return executor.Failure(store.ReasonError, fmt.Errorf("module was ended: it wrote more than its limit of %s (executor.wasm.output)", bytesize.Size(e.cfg.Output)))
	case succeeded(err):
		return executor.Answered(out.answer())
	}
	return executor.Failure(store.ReasonError, executor.WithErrorOutput(describe(task, instance, m, err), out.lastErrors()))
}

// succeeded reports whether the module came to its end, or exited with 0.
func succeeded(err error) bool {
	var exit *sys.ExitError
	return err == nil || errors.As(err, &exit) && exit.ExitCode() == 0
}

// instanceConfig is all that the module gets.
func instanceConfig(ctx context.Context, task executor.Task, out *output) (wazero.ModuleConfig, error) {
	spec := task.Flow.WASM
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithArgs(append([]string{spec.Module}, spec.Args...)...).
		WithStdin(bytes.NewReader(task.Params)).WithStdout(out.stdout()).WithStderr(out.stderr()).
		WithRandSource(rand.Reader)
	for name, setting := range spec.Env {
		value, err := task.Reveal(setting)
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
		config = config.WithEnv(name, value)
	}
	for _, entry := range task.Environment() {
		name, value, _ := strings.Cut(entry, "=")
		config = config.WithEnv(name, value)
	}
	if spec.Clock {
		config = config.WithSysWalltime().WithSysNanotime().WithNanosleep(func(ns int64) { sleep(ctx, time.Duration(ns)) })
	}
	return config, nil
}

// sleep ends with ctx: the module is ended when it is back from it.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// describe says in words how the module ended, and what memory it had then: one that gets no more of it ends in a way of
// its own. The stack of a trap goes to the log.
func describe(task executor.Task, instance api.Module, m *module, err error) error {
	had := ""
	if len(m.compiled.ExportedMemories()) > 0 { // a WASI command exports the one that it has
		had = fmt.Sprintf(" (it had %s of its %s of memory)", bytesize.Size(instance.Memory().Size()), bytesize.Size(int64(m.key.pages)*pageSize))
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("module ended with exit code %d%s", exit.ExitCode(), had)
	}
	fmt.Fprintln(task.Output(), err)
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("module was ended: %s%s", first, had)
}

// errOutput ends a run that writes too much.
var errOutput = errors.New("output limit")

// output is the module's two streams. Both go to the run's log; the start of standard output is kept, which may be an
// answer, and the end of standard error, for the message.
type output struct {
	task     executor.Task
	exceeded func()
	errors   *executor.Tail
	streams  []io.WriteCloser

	mu      sync.Mutex
	left    int64
	start   bytes.Buffer
	tooLong bool // for an answer
}

func newOutput(task executor.Task, limit int64, exceeded func()) *output {
	return &output{task: task, left: limit, exceeded: exceeded, errors: executor.NewTail(executor.MaxErrorOutput)}
}

func (o *output) stdout() io.Writer {
	return o.stream(io.MultiWriter(writerFunc(o.keep), o.log()))
}

func (o *output) stderr() io.Writer {
	return o.stream(o.conceal(io.MultiWriter(o.task.Output(), o.errors)))
}

func (o *output) log() io.Writer { return o.conceal(o.task.Output()) }

func (o *output) conceal(next io.Writer) io.Writer {
	concealing := o.task.Conceal(next)
	o.streams = append(o.streams, concealing)
	return concealing
}

// stream counts what is written, of both streams together, and passes on what is within the limit.
func (o *output) stream(next io.Writer) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.left -= int64(len(p)); o.left < 0 {
			o.exceeded()
			return 0, errOutput
		}
		return next.Write(p)
	})
}

// keep adds to what may be an answer.
func (o *output) keep(p []byte) (int, error) {
	if o.tooLong = o.tooLong || o.start.Len()+len(p) > MaxAnswer; !o.tooLong {
		o.start.Write(p)
	}
	return len(p), nil
}

func (o *output) answer() []byte {
	if o.tooLong {
		return nil
	}
	return o.start.Bytes()
}

func (o *output) lastErrors() string { return strings.TrimSpace(string(o.errors.Snapshot())) }

func (o *output) close() {
	for _, stream := range o.streams {
		_ = stream.Close()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
