package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"syscall"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/secret"
	"github.com/systole-run/systole/store"
)

// guard is a FlowExecutor that another one's secrets do not get past.
type guard struct {
	secrets *Secrets
	next    executor.FlowExecutor
}

// Guard decorates an executor of one kind: its tasks get the secrets that their flows refer to, and what comes of them
// has none. It goes beneath the Registry, which cuts texts.
func (s *Secrets) Guard(next executor.FlowExecutor) executor.FlowExecutor {
	return &guard{secrets: s, next: next}
}

// Execute implements executor.FlowExecutor.
func (g *guard) Execute(ctx context.Context, task executor.Task) (result executor.Result) {
	references := task.Flow.SecretRefs()
	if len(references) == 0 {
		return g.next.Execute(ctx, task)
	}
	revealed, err := g.secrets.reveal(task.Flow, references)
	if err != nil {
		return executor.Failure(store.ReasonRefused, err)
	}
	log := revealed.Conceal(task.Output())
	defer log.Close()
	task.Log, task.Secrets = log, revealed
	defer func() {
		if value := recover(); value != nil {
			result = revealed.conceal(executor.Panicked(task, value))
		}
	}()
	return revealed.conceal(g.next.Execute(ctx, task))
}

// reveal looks up all secrets of a flow, or says of each that cannot be used why.
func (s *Secrets) reveal(flow store.DataFlow, references map[string]string) (*revealed, error) {
	r := &revealed{values: make(map[string]string, len(references))}
	var problems []error
	lasting := true
	for _, field := range sorted(references) {
		reference := references[field]
		value, err := s.lookUp(flow, reference)
		if err != nil {
			problems = append(problems, fmt.Errorf("use secret of %s: %s %w", field, reference, err))
			lasting = lasting && !passes(err)
			continue
		}
		r.values[reference] = value
	}
	if err := errors.Join(problems...); err != nil && lasting {
		return nil, executor.Permanent(err)
	} else if err != nil {
		return nil, err
	}
	r.redactor = secret.NewRedactor(slices.Collect(maps.Values(r.values))...)
	return r, nil
}

// passing are the errors that another attempt may not meet: a lack of descriptors passes, a lack of a file does not.
var passing = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EAGAIN}

func passes(err error) bool {
	return slices.ContainsFunc(passing, func(known error) bool { return errors.Is(err, known) })
}

// revealed are the secrets of one run. It implements executor.Secrets.
type revealed struct {
	values   map[string]string // by reference
	redactor *secret.Redactor
}

// Reveal implements executor.Secrets.
func (r *revealed) Reveal(reference string) (string, bool) {
	value, ok := r.values[reference]
	return value, ok
}

// Format implements fmt.Formatter, so that a Task can be printed.
func (r *revealed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secret.Mark) }

// Conceal implements executor.Secrets.
func (r *revealed) Conceal(next io.Writer) io.WriteCloser { return r.redactor.Writer(next) }

// errSecretCursor is the failure of a run whose cursor cannot be kept: without it, the next run would silently repeat
// this one's work.
var errSecretCursor = errors.New("keep cursor: found one of the run's secrets in it, allowed is text that may be stored")

// conceal takes the secrets out of a result.
func (r *revealed) conceal(result executor.Result) executor.Result {
	result.Message = r.redactor.Text(result.Message)
	if result.Err != nil {
		// Sprint, unlike a call of Error, survives an Error method that panics. What the error wraps stays behind.
		result.Err = errors.New(r.redactor.Text(fmt.Sprint(result.Err)))
	}
	if result.Err == nil && result.Cursor != nil && r.redactor.Holds(*result.Cursor) {
		return executor.Failure(store.ReasonError, executor.Permanent(errSecretCursor))
	}
	return result
}

func sorted(references map[string]string) []string { return slices.Sorted(maps.Keys(references)) }
