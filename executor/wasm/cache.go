package wasm

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// pageSize is WebAssembly's unit of memory, in bytes.
const pageSize = 64 << 10

// startFunction is what a WASI command exports to be run by.
const startFunction = "_start"

// cache keeps compiled modules by their content and memory, so that a run need not wait for the compiler. It keeps those
// used last, and any that is being used.
type cache struct {
	most int

	mu       sync.Mutex
	modules  map[moduleKey]*module
	unused   *list.List // of *module, the one used last in front
	compiled wazero.CompilationCache
	working  sync.WaitGroup // compilers
}

type moduleKey struct {
	content [sha256.Size]byte
	pages   uint32
}

// module is one compiled module, with the runtime that bounds its memory.
type module struct {
	key   moduleKey
	ready chan struct{} // closed when it is compiled, or could not be
	err   error

	runtime  wazero.Runtime
	compiled wazero.CompiledModule

	users int           // the cache's
	idle  *list.Element // where it is in unused; nil while it is used
}

func newCache(most int) *cache {
	return &cache{most: most, modules: make(map[moduleKey]*module), unused: list.New(), compiled: wazero.NewCompilationCache()}
}

// get gives the module, compiled. It waits for the compiler no longer than ctx lasts.
func (c *cache) get(ctx context.Context, code []byte, memory int64) (*module, error) {
	m := c.take(moduleKey{sha256.Sum256(code), uint32(memory / pageSize)}, code)
	select {
	case <-m.ready:
	case <-ctx.Done():
		c.release(m)
		return nil, ctx.Err()
	}
	if m.err != nil {
		c.release(m)
		return nil, m.err
	}
	return m, nil
}

// take counts the caller among the module's users, and starts the compiler for the first of them.
func (c *cache) take(key moduleKey, code []byte) *module {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, known := c.modules[key]
	if !known {
		m = &module{key: key, ready: make(chan struct{})}
		c.modules[key] = m
		c.working.Go(func() { m.compile(wazero.NewRuntimeConfig().WithCompilationCache(c.compiled), code) })
	}
	if m.idle != nil {
		c.unused.Remove(m.idle)
		m.idle = nil
	}
	m.users++
	return m
}

// release counts a user out again, and drops what was used longest ago where too much is kept.
func (c *cache) release(m *module) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.users--; m.users == 0 {
		m.idle = c.unused.PushFront(m)
	}
	for len(c.modules) > c.most && c.unused.Len() > 0 {
		oldest := c.unused.Remove(c.unused.Back()).(*module)
		delete(c.modules, oldest.key)
		c.working.Go(func() { _ = oldest.close() }) // its compiler may still be at work
	}
}

func (c *cache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, m := range c.modules {
		errs = append(errs, m.close())
	}
	clear(c.modules)
	c.working.Wait()
	return errors.Join(append(errs, c.compiled.Close(context.Background()))...)
}

// compile makes a runtime for modules with this memory, and compiles the module for it.
func (m *module) compile(config wazero.RuntimeConfig, code []byte) {
	defer close(m.ready)
	defer func() {
		if fault := recover(); fault != nil {
			m.err = fmt.Errorf("compile: found a module that the compiler stumbles over (%v), allowed is WebAssembly that asks by WASI preview 1", fault)
		}
	}()
	ctx := context.Background()
	m.runtime = wazero.NewRuntimeWithConfig(ctx, config.WithCloseOnContextDone(true).WithMemoryLimitPages(m.key.pages))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, m.runtime); err != nil {
		m.err = fmt.Errorf("set up WASI: %w", err)
		return
	}
	code, err := bounded(code)
	var compiled wazero.CompiledModule
	if err == nil {
		compiled, err = m.runtime.CompileModule(ctx, code)
	}
	if err != nil {
		m.err = fmt.Errorf("compile: found no valid module (%w), allowed is WebAssembly that asks by WASI preview 1", err)
		return
	}
	m.compiled = compiled
	m.err = m.fits()
}

// fits refuses a module that no run could start.
func (m *module) fits() error {
	if _, found := m.compiled.ExportedFunctions()[startFunction]; !found {
		return fmt.Errorf("compile: found a module that exports no %s, allowed is a WASI command", startFunction)
	}
	for _, imported := range m.compiled.ImportedFunctions() {
		if from, name, _ := imported.Import(); from != wasi_snapshot_preview1.ModuleName {
			return fmt.Errorf("compile: found an import of %s.%s, allowed is %s alone", from, name, wasi_snapshot_preview1.ModuleName)
		}
	}
	return nil
}

func (m *module) close() error {
	<-m.ready
	return m.runtime.Close(context.Background())
}
