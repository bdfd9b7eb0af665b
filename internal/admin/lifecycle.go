package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/strictjson"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// keyRetryOf is the log key of the run that another one repeats.
const keyRetryOf = "retry_of"

// pauseFlow answers 204, also for a flow that is paused already: it keeps its reason.
func (a *API) pauseFlow(ctx context.Context, in *struct {
	InFlow
	RawBody []byte `contentType:"application/json"`
},
) (*struct{}, error) {
	reason, err := decodeReason(in.RawBody)
	if err != nil {
		return nil, err
	}
	if err := a.store.PauseFlow(ctx, in.Group, in.Name, reason); err != nil {
		return nil, err
	}
	a.cfg.Logger.InfoContext(ctx, "flow paused", logkey.Group, in.Group, logkey.Flow, in.Name, logkey.Reason, reason, logkey.Principal, principal(ctx).Name)
	a.tell(ctx, trigger.EventFlowPaused, in.Group, in.Name, flowEvent{Flow: in.Name, Reason: reason})
	return nil, nil
}

// resumeFlow answers 204, also for a flow that is not paused.
func (a *API) resumeFlow(ctx context.Context, in *InFlow) (*struct{}, error) {
	if err := a.store.ResumeFlow(ctx, in.Group, in.Name); err != nil {
		return nil, err
	}
	a.cfg.Logger.InfoContext(ctx, "flow resumed", logkey.Group, in.Group, logkey.Flow, in.Name, logkey.Principal, principal(ctx).Name)
	a.tell(ctx, trigger.EventFlowResumed, in.Group, in.Name, flowEvent{Flow: in.Name})
	return nil, nil
}

// cancelRun tells of the run only where it stands: who may cancel need not be allowed to read.
func (a *API) cancelRun(ctx context.Context, in *struct {
	InRun
	RawBody []byte `contentType:"application/json"`
},
) (*out[wire.RunCancelled], error) {
	reason, err := decodeReason(in.RawBody)
	if err != nil {
		return nil, err
	}
	run, err := a.store.CancelRun(ctx, in.Group, in.ID, reason)
	if err != nil {
		return nil, err
	}
	a.cfg.Logger.InfoContext(ctx, "run cancelled", logkey.Group, in.Group, logkey.Flow, run.Flow, logkey.RunID, in.ID, logkey.Status, run.Status,
		logkey.Reason, reason, logkey.Principal, principal(ctx).Name)
	if run.Status.Final() {
		a.tell(ctx, trigger.EventRunCancelled, in.Group, in.ID, run)
	} else {
		a.hintCancel(ctx, in.Group, in.ID)
	}
	if run.Status == store.StatusPending { // whoever claims it ends it
		a.hint(ctx, in.Group)
	}
	return &out[wire.RunCancelled]{wire.RunCancelled{RunID: in.ID, Status: run.Status, CancelRequested: run.CancelRequested}}, nil
}

// hintCancel tells the workers. The run is flagged already, so a lost hint only makes it go on until its lease is renewed.
func (a *API) hintCancel(ctx context.Context, group, runID string) {
	workers, ok := a.wake.(Canceller)
	if !ok {
		return
	}
	if err := workers.Cancel(group, runID); err != nil {
		a.cfg.Logger.WarnContext(ctx, "workers were not told to end a run; its lease's next renewal does it",
			logkey.Group, group, logkey.RunID, runID, logkey.Error, err)
	}
}

func (a *API) retryRun(ctx context.Context, in *InRun) (*out[wire.RunStarted], error) {
	return a.retryWith(ctx, a.store.RetryRun, in.Group, in.ID)
}

func (a *API) retryWith(ctx context.Context, retry func(ctx context.Context, group, id string) (string, error), group, runID string) (*out[wire.RunStarted], error) {
	id, err := retry(ctx, group, runID)
	if err != nil {
		return nil, err
	}
	a.cfg.Logger.InfoContext(ctx, "run asked for", logkey.Group, group, logkey.RunID, id, keyRetryOf, runID, logkey.Principal, principal(ctx).Name)
	a.hint(ctx, group)
	return &out[wire.RunStarted]{wire.RunStarted{RunID: id}}, nil
}

// decodeReason reads a body that may be left out.
func decodeReason(body []byte) (reason string, err error) {
	if len(body) == 0 {
		return "", nil
	}
	var ask wire.ReasonRequest
	if err := strictjson.Decode(body, &ask); err != nil {
		return "", malformed(err)
	}
	if len(ask.Reason) > wire.MaxReason {
		return "", refuse(http.StatusBadRequest, "the reason is too long", store.FieldError{
			Field: "reason", Found: fmt.Sprintf("%d bytes", len(ask.Reason)), Allowed: fmt.Sprintf("up to %d bytes", wire.MaxReason),
		})
	}
	return ask.Reason, nil
}
