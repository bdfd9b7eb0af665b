package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/systole-run/systole/store"
)

// Registry runs each Task with the executor of its flow's kind. It is the guard between a worker and the flows: what
// comes out of it is a bounded Result, never a panic. It is immutable and safe for concurrent use.
type Registry struct {
	kinds map[string]FlowExecutor
}

// NewRegistry gives a Registry of the executors by kind, such as "function", "exec" and "http" (store.DataFlow.Kind).
func NewRegistry(kinds map[string]FlowExecutor) (*Registry, error) {
	if len(kinds) == 0 {
		return nil, errors.New("new registry: kinds: found none, allowed is at least one")
	}
	for kind, executor := range kinds {
		if kind == "" || executor == nil {
			return nil, fmt.Errorf("new registry: kinds: found %q with executor %v, allowed is a name with an executor", kind, executor)
		}
	}
	return &Registry{kinds: maps.Clone(kinds)}, nil
}

// Kinds lists what the registry can run, in order.
func (r *Registry) Kinds() []string { return slices.Sorted(maps.Keys(r.kinds)) }

// Execute implements FlowExecutor. A flow of a kind that is not registered is refused for good, and a task whose ctx
// has ended is not started.
func (r *Registry) Execute(ctx context.Context, task Task) Result {
	if ctx.Err() != nil {
		return Interrupted(ctx, nil).settled()
	}
	executor, ok := r.kinds[task.Flow.Kind()]
	if !ok {
		return Failure(store.ReasonRefused, Permanent(r.unknown(task.Flow.Kind()))).settled()
	}
	return guarded(ctx, executor, task).settled()
}

func (r *Registry) unknown(kind string) error {
	return fmt.Errorf("start run: found a flow of kind %q, this worker runs %s", kind, strings.Join(r.Kinds(), ", "))
}

// guarded turns a panic of an executor into that run's failure.
func guarded(ctx context.Context, executor FlowExecutor, task Task) (result Result) {
	defer func() {
		if value := recover(); value != nil {
			result = Panicked(task, value)
		}
	}()
	return executor.Execute(ctx, task)
}
