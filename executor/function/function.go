// Package function runs flows of the kind `function`: Go functions that the worker's binary registered by name.
//
// It owns the registration and two kinds of isolation. In the worker, which is the usual one, a panic or a runtime.Goexit ends
// that run and nothing else, and a function that does not heed its context cannot hold its run; but os.Exit, a fatal
// error of the Go runtime or an endless allocation takes the worker down, and its leases expire. With `isolation: process` the
// function runs in a process of the same program, which that ends instead, and which is killed if it does not heed its context.
//
// Such a process is started through the supervisor, ends with the lease of its run, and is used again for other runs, of any
// function, but never after a failure and only so many times:
//
//	waiting ──a run──> running ──success──> waiting
//	   │                  └──failure, no return within Grace, or Reuse reached──> killed
//	   └──more wait than Idle──> killed
//
// A run in the worker goes through these states:
//
//	running ──returns, panics, exits──> ended
//	   └──ctx ends──> stopping ──within Grace──> ended (interrupted)
//	                      └──Grace passes──> abandoned ──returns, if ever──> ended
//
// Go cannot end a goroutine. An abandoned one is left to itself: its run has failed with the reason for which ctx
// ended, and what it does and returns from then on is seen by nobody. Abandoned counts them, each is logged, and a
// function with MaxAbandoned of them is refused, so that it cannot fill the worker.
package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// Kind is what store.DataFlow.Kind says of the flows that this package runs.
const Kind = "function"

// Defaults of Config.
const (
	DefaultGrace        = 2 * time.Second
	DefaultMaxAbandoned = 10
)

// Func is a flow written in Go. It must return soon after ctx ends. A nil error is success; an error fails the run, for
// good if it was marked with executor.Permanent. Once ctx has ended the run counts as interrupted whatever Func
// returns: nil cannot be told from giving up, and an occurrence is rather repeated than lost. It is called from
// several goroutines at once, each with its own run.
type Func func(ctx context.Context, run *Run) error

// Config of an Executor. The zero value is usable.
type Config struct {
	Functions    map[string]Func       // registered from the start, by name
	Grace        time.Duration         // from the end of ctx until a function is abandoned; default DefaultGrace
	MaxAbandoned int                   // abandoned goroutines of one function that are put up with; default DefaultMaxAbandoned
	Process      ProcessConfig         // of functions that run in processes of their own
	Logger       *slog.Logger          // default slog.Default()
	Registerer   prometheus.Registerer // nil for no metrics
}

// Executor implements executor.FlowExecutor. It is safe for concurrent use.
type Executor struct {
	cfg  Config
	pool *pool

	mu        sync.RWMutex
	functions map[string]*function
}

// function is one registered Func, and how many of its goroutines have been abandoned and still run.
type function struct {
	call      Func
	abandoned atomic.Int64
}

// New gives an Executor that knows cfg.Functions. Its error names the field at fault.
func New(cfg Config) (*Executor, error) {
	if cfg.Grace < 0 {
		return nil, fmt.Errorf("new function executor: Grace: found %s, allowed is 0 (%s) or more", cfg.Grace, DefaultGrace)
	}
	if cfg.MaxAbandoned < 0 {
		return nil, fmt.Errorf("new function executor: MaxAbandoned: found %d, allowed is 0 (%d) or more", cfg.MaxAbandoned, DefaultMaxAbandoned)
	}
	if cfg.Grace == 0 {
		cfg.Grace = DefaultGrace
	}
	if cfg.MaxAbandoned == 0 {
		cfg.MaxAbandoned = DefaultMaxAbandoned
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	var err error
	if cfg.Process, err = cfg.Process.withDefaults(); err != nil {
		return nil, err
	}
	e := &Executor{cfg: cfg, pool: &pool{cfg: cfg.Process}, functions: make(map[string]*function)}
	for name, call := range cfg.Functions {
		if err := e.Register(name, call); err != nil {
			return nil, err
		}
	}
	if err := e.registerMetrics(); err != nil {
		return nil, err
	}
	return e, nil
}

// Register makes call known as name, which flows give as function.name. A name is registered once; registering is
// allowed at any time.
func (e *Executor) Register(name string, call Func) error {
	if name == "" {
		return errors.New("register function: found an empty name")
	}
	if call == nil {
		return fmt.Errorf("register function %q: found nil", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, taken := e.functions[name]; taken {
		return fmt.Errorf("register function %q: the name is taken", name)
	}
	e.functions[name] = &function{call: call}
	return nil
}

// Names lists the registered functions, in order.
func (e *Executor) Names() []string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return slices.Sorted(maps.Keys(e.functions))
}

// Abandoned is how many goroutines still run past the end of their run.
func (e *Executor) Abandoned() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	total := 0
	for _, f := range e.functions {
		total += int(f.abandoned.Load())
	}
	return total
}

func (e *Executor) registerMetrics() error {
	if e.cfg.Registerer == nil {
		return nil
	}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "systole_executor_function_abandoned",
		Help: "Go functions that still run although their run has ended.",
	}, func() float64 { return float64(e.Abandoned()) })
	if err := e.cfg.Registerer.Register(gauge); err != nil {
		return fmt.Errorf("register function metrics: %w", err)
	}
	return nil
}

// find gives the function that the flow asks for. An unknown one is refused for good: this binary will not learn it.
func (e *Executor) find(flow store.DataFlow) (*function, error) {
	if flow.Function == nil {
		return nil, executor.Permanent(fmt.Errorf("start function: found a flow of kind %q", flow.Kind()))
	}
	e.mu.RLock()
	found, ok := e.functions[flow.Function.Name]
	e.mu.RUnlock()
	if !ok {
		return nil, executor.Permanent(fmt.Errorf("start function: found %q, this worker knows %s",
			flow.Function.Name, orNone(e.Names())))
	}
	if n := found.abandoned.Load(); n >= int64(e.cfg.MaxAbandoned) {
		return nil, fmt.Errorf("start function %q: %d earlier calls of it still run in this worker past their end", flow.Function.Name, n)
	}
	return found, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
