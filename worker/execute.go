package worker

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
)

// execute runs one claim to its end and hands what came of it to the completer, which writes that on inner.
func (w *Worker) execute(inner context.Context, run *activeRun) {
	claim := run.claim
	began := run.began
	timeout := time.Duration(claim.Flow.Timeout)
	if timeout <= 0 {
		timeout = store.DefaultTimeout
	}
	deadline := began.Add(timeout)
	ctx, cancel := context.WithDeadlineCause(run.ctx, deadline, executor.ErrTimeout)
	defer cancel()
	ctx, span := w.startSpan(ctx, claim)
	defer span.End()

	result := w.executor.Execute(ctx, executor.Task{
		Flow: claim.Flow, RunID: claim.RunID, OccurrenceID: claim.OccurrenceID, Slot: claim.ForSlot(), Attempt: claim.Attempt,
		Token: claim.Token, Worker: w.cfg.ID, Params: claim.Params, Cursor: claim.Cursor, Deadline: deadline,
		TraceParent: traceParent(span), Lease: run.lease, Log: run.log,
	})
	took := time.Since(began)
	w.end(inner, run, result, took)
	endSpan(span, result)
}

// end decides what becomes of a run, by its result and by why it was cancelled, if it was.
func (w *Worker) end(inner context.Context, run *activeRun, result executor.Result, took time.Duration) {
	cause := context.Cause(run.ctx)
	done := store.Completion{Claim: run.claim, Outcome: store.Outcome{Took: took, Log: run.log.Snapshot(), Process: result.Process}}
	switch {
	case result.Err == nil:
		// It finished, whatever was asked of it meanwhile. If the lease was lost, the token says so.
		done.Outcome.Status, done.Outcome.Message, done.Outcome.Cursor = store.StatusSuccess, result.Message, result.Cursor
		w.completer.complete(inner, run, done)
	case errors.Is(cause, executor.ErrLeaseLost):
		w.metrics.leasesLost.Inc()
		w.log.Error("run cancelled: its lease could not be renewed in time", runKeys(run.claim)...)
		w.drop(run)
	case errors.Is(cause, executor.ErrCancelled):
		done.Outcome.Status, done.Outcome.Error = store.StatusCancelled, result.Err.Error()
		done.Outcome.Reason = store.CancelReason(cause.Error())
		w.completer.complete(inner, run, done)
	case errors.Is(cause, executor.ErrDraining), errors.Is(cause, executor.ErrAborted):
		w.completer.release(inner, run, done)
	default:
		done.Outcome.Status, done.Outcome.Reason, done.Outcome.Error = store.StatusFailed, result.Reason, result.Err.Error()
		done.Outcome.Permanent = result.Permanent
		w.completer.complete(inner, run, done)
	}
}

// drop frees a run's slot without writing anything.
func (w *Worker) drop(run *activeRun) {
	w.active.remove(run)
	w.metrics.running.Dec()
}

func (w *Worker) startSpan(ctx context.Context, claim store.Claim) (context.Context, trace.Span) {
	origin := claim.BeatID
	if claim.RunNow() {
		origin = claim.RunID
	}
	ctx = w.origins.context(ctx, origin)
	return w.tracer.Start(ctx, "run "+claim.Flow.Name, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String(logkey.Group, claim.Partition.Group), attribute.String(logkey.Flow, claim.Flow.Name),
		attribute.String(logkey.RunID, claim.RunID), attribute.String(logkey.OccurrenceID, claim.OccurrenceID),
		attribute.String(logkey.BeatID, claim.BeatID), attribute.Int(logkey.Attempt, claim.Attempt),
	))
}

func endSpan(span trace.Span, result executor.Result) {
	if result.Err != nil {
		span.SetStatus(codes.Error, result.Reason)
	}
}
