// Package wasm runs flows of the kind `wasm`: WebAssembly modules that call the system through WASI preview 1, in the worker's
// process but without access to it.
//
// It owns the reading, compiling and caching of modules, and decides what a module may ask for. wazero carries out the
// instructions, in memory of the module's own.
//
//	read module ─> compile, or take it from the cache ─> instance: memory, streams, what the flow lists ─> _start ─> result
//	                                                                          │
//	                                                                          └─ctx ends, output limit─> ended at once
//
// A module gets its params as JSON on standard input and the run in its environment, as a command does. What it writes to
// standard output and error is the run's log; if all of its standard output is a JSON object, that may carry the new
// cursor and a message. Exit code 0 is success.
//
// What always holds: a module has no file, folder or clock except those that its flow lists and the operator allows, and no
// network, process or environment of the worker at all. It can read what it is given, a bounded number of files at a time,
// and write nothing. It has no more memory than its limit, and no more than a million elements in tables. An endless loop, or
// an endless sleep, ends with ctx. An instance is used for one run. A module that is invalid, missing or asks for more
// than it may have is refused for good; so is one that announces more than its own size can hold, before any memory is allocated
// for it. Only the compilation of a module, once for each, is bounded by nothing but the module's size; a run that waits for
// it does not wait past its own end.
package wasm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/bytesize"
	"github.com/systole-run/systole/store"
)

// Kind is what store.DataFlow.Kind says of the flows that this package runs.
const Kind = "wasm"

// Defaults of Config, in bytes.
const (
	DefaultMemory    = 128 << 20
	DefaultOutput    = 16 << 20
	DefaultMaxModule = 32 << 20
)

// DefaultMaxCached is how many compiled modules are kept.
const DefaultMaxCached = 16

// Config of an Executor. The zero value is usable.
type Config struct {
	Dir       string   // the folder of modules; default the worker's working folder
	Folders   []string // absolute folders that flows may have read, with what is beneath them; none by default
	Memory    int64    // the most that a module may have, in bytes, and what it has where its flow says nothing; default DefaultMemory
	Output    int64    // what a run may write, in bytes; default DefaultOutput
	MaxModule int64    // size of a module's file, in bytes; default DefaultMaxModule
	MaxCached int      // compiled modules that are kept; default DefaultMaxCached
}

// Executor implements executor.FlowExecutor. It is safe for concurrent use.
type Executor struct {
	cfg   Config
	cache *cache
}

// New gives an Executor. Its error names the field at fault. Close frees what it has compiled.
func New(cfg Config) (*Executor, error) {
	for field, value := range map[string]*int64{"Memory": &cfg.Memory, "Output": &cfg.Output, "MaxModule": &cfg.MaxModule} {
		if *value < 0 {
			return nil, fmt.Errorf("new wasm executor: %s: found %d, allowed is 0 (the default) or more bytes", field, *value)
		}
	}
	if cfg.MaxCached < 0 {
		return nil, fmt.Errorf("new wasm executor: MaxCached: found %d, allowed is 0 (%d) or more", cfg.MaxCached, DefaultMaxCached)
	}
	for _, folder := range cfg.Folders {
		if !filepath.IsAbs(folder) {
			return nil, fmt.Errorf("new wasm executor: Folders: found %q, allowed are absolute paths", folder)
		}
	}
	cfg.Memory = cmp.Or(cfg.Memory, DefaultMemory)
	cfg.Output = cmp.Or(cfg.Output, DefaultOutput)
	cfg.MaxModule = cmp.Or(cfg.MaxModule, DefaultMaxModule)
	cfg.MaxCached = cmp.Or(cfg.MaxCached, DefaultMaxCached)
	cfg.Dir = cmp.Or(cfg.Dir, ".")
	return &Executor{cfg: cfg, cache: newCache(cfg.MaxCached)}, nil
}

// Close frees the compiled modules. It is called when all runs have ended.
func (e *Executor) Close() error { return e.cache.close() }

// Execute implements executor.FlowExecutor.
func (e *Executor) Execute(ctx context.Context, task executor.Task) executor.Result {
	spec := task.Flow.WASM
	if spec == nil {
		return refused(fmt.Errorf("start module: found a flow of kind %q", task.Flow.Kind()))
	}
	roots, err := e.folders(*spec)
	defer closeAll(roots)
	if err != nil {
		return refused(fmt.Errorf("start module: %w", err))
	}
	module, err := e.module(ctx, *spec)
	if ctx.Err() != nil {
		return executor.Interrupted(ctx, err)
	}
	if err != nil {
		return refused(fmt.Errorf("start module: %w", err))
	}
	defer e.cache.release(module)
	return e.run(ctx, task, module, roots)
}

func refused(err error) executor.Result {
	return executor.Failure(store.ReasonRefused, executor.Permanent(err))
}

// Check says what is wrong with a flow of this kind, as far as this worker can tell: the module, the memory, the folders.
// The error is a store.InvalidError.
func (e *Executor) Check(flow store.DataFlow) error {
	spec := flow.WASM
	if spec == nil {
		return nil
	}
	var invalid store.InvalidError
	roots, err := e.folders(*spec)
	closeAll(roots)
	if err != nil {
		invalid = append(invalid, store.FieldError{Field: "wasm.folders", Found: err.Error(), Allowed: "folders of the worker that are beneath those of executor.wasm.folders"})
	}
	module, err := e.module(context.Background(), *spec)
	if err != nil {
		invalid = append(invalid, store.FieldError{Field: "wasm", Found: err.Error(), Allowed: "a WASI module that is in executor.wasm.dir, and its limits"})
	} else {
		e.cache.release(module)
	}
	if len(invalid) == 0 {
		return nil
	}
	return invalid
}

// module gives the flow's module, compiled. Whoever gets it releases it.
func (e *Executor) module(ctx context.Context, spec store.WASMSpec) (*module, error) {
	memory := int64(spec.Memory)
	if memory > e.cfg.Memory {
		return nil, fmt.Errorf("found memory of %s, allowed are %s (executor.wasm.memory)", spec.Memory, bytesize.Size(e.cfg.Memory))
	}
	memory = cmp.Or(memory, e.cfg.Memory)
	code, err := e.read(spec.Module)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", spec.Module, err)
	}
	return e.cache.get(ctx, code, memory)
}

// read reads a module's file. No link leads out of the folder of modules.
func (e *Executor) read(name string) ([]byte, error) {
	root, err := os.OpenRoot(e.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of modules: %w", err)
	}
	defer root.Close()
	file, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	code, err := io.ReadAll(io.LimitReader(file, e.cfg.MaxModule+1))
	if err == nil && int64(len(code)) > e.cfg.MaxModule {
		err = fmt.Errorf("found more than %s, allowed are up to that (executor.wasm.max_module)", bytesize.Size(e.cfg.MaxModule))
	}
	return code, err
}

// CheckFile says whether the file holds a module that can be run, without compiling it into machine code. The error says
// what is wrong.
func CheckFile(path string) error {
	e, err := New(Config{Dir: filepath.Dir(path)})
	if err != nil {
		return err
	}
	code, err := e.read(filepath.Base(path))
	if err != nil {
		return errors.Join(err, e.Close())
	}
	m := &module{key: moduleKey{pages: DefaultMemory / pageSize}, ready: make(chan struct{})}
	m.compile(wazero.NewRuntimeConfigInterpreter(), code)
	return errors.Join(m.err, m.close(), e.Close())
}
