package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/strictjson"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// applyFlows writes a batch, or says what that would do. Everything that can be wrong with it is checked first, so that
// only an outage can leave it half done; sending it again then does the rest.
func (a *API) applyFlows(ctx context.Context, in *struct {
	RawBody []byte `contentType:"application/json"`
},
) (*out[wire.Applied], error) {
	batch, err := a.decodeBatch(in.RawBody)
	if err != nil {
		return nil, err
	}
	for _, flow := range batch.Flows {
		if err := a.permit(ctx, flow.Group, trigger.ScopeWrite); err != nil {
			return nil, err
		}
	}
	if err := a.checkFlows(batch.Flows); err != nil {
		return nil, err
	}
	apply := a.store.PutFlows
	if batch.DryRun {
		apply = a.store.PlanFlows
	}
	changes, err := apply(ctx, batch.Source, batch.Flows)
	if err != nil {
		return nil, fmt.Errorf("apply flows: %w", err)
	}
	if !batch.DryRun {
		a.logChanges(ctx, changes...)
	}
	return &out[wire.Applied]{wire.Applied{Results: changes}}, nil
}

// checkFlows lists what is wrong with flows that are valid. It comes after authorization: it tells of settings.
func (a *API) checkFlows(flows []store.DataFlow) error {
	var wrong []store.FieldError
	for i, flow := range flows {
		var invalid store.InvalidError
		if errors.As(a.cfg.CheckFlow(flow), &invalid) {
			wrong = append(wrong, prefixed(fmt.Sprintf("flows[%d]", i), invalid)...)
		}
	}
	if len(wrong) > 0 {
		return refuse(http.StatusUnprocessableEntity, "the flows cannot run, and none was written; errors lists every fault", wrong...)
	}
	return nil
}

// changeEvents are the events that tell of changes.
var changeEvents = map[store.Change]string{store.FlowCreated: trigger.EventFlowCreated, store.FlowChanged: trigger.EventFlowChanged, store.FlowDeleted: trigger.EventFlowDeleted}

// logChanges says who changed what.
func (a *API) logChanges(ctx context.Context, changes ...store.FlowChange) {
	for _, change := range changes {
		if change.Result != store.FlowUnchanged {
			a.cfg.Logger.InfoContext(ctx, "flow "+string(change.Result), logkey.Group, change.Group, logkey.Flow, change.Name, logkey.Principal, principal(ctx).Name)
			a.tell(ctx, changeEvents[change.Result], change.Group, change.Name, flowEvent{Flow: change.Name})
		}
	}
}

// listApplied leaves out the groups in which the sender may do nothing with flows.
func (a *API) listApplied(ctx context.Context, in *struct {
	Source string `query:"source" required:"true" maxLength:"200" doc:"where the flows were applied from, up to 200 bytes"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"a number of entries from 1 to 1000"`
	After  string `query:"after" maxLength:"512" doc:"the next of an earlier page"`
},
) (*out[wire.FlowRefPage], error) {
	groups, err := a.store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	groups = slices.DeleteFunc(groups, func(group string) bool {
		return authorize(ctx, group, trigger.ScopeRead, trigger.ScopeWrite) != nil
	})
	flows, next, err := a.store.FlowsFrom(ctx, groups, in.Source, in.Limit, in.After)
	return &out[wire.FlowRefPage]{wire.FlowRefPage{Flows: flows, Next: next}}, err
}

// decodeBatch reads a batch and lists everything that is wrong with any of its flows.
func (a *API) decodeBatch(body []byte) (wire.ApplyRequest, error) {
	var batch struct {
		Source string            `json:"source"`
		DryRun bool              `json:"dry_run"`
		Flows  []json.RawMessage `json:"flows"`
	}
	asked := wire.ApplyRequest{}
	if err := strictjson.Decode(body, &batch); err != nil {
		return asked, malformed(err)
	}
	if len(batch.Flows) < 1 || len(batch.Flows) > wire.MaxApply {
		return asked, refuse(http.StatusBadRequest, "the batch cannot be accepted", store.FieldError{
			Field: "flows", Found: strconv.Itoa(len(batch.Flows)) + " flows", Allowed: "1 to " + strconv.Itoa(wire.MaxApply),
		})
	}
	flows := make([]store.DataFlow, len(batch.Flows))
	status := http.StatusUnprocessableEntity
	var wrong store.InvalidError
	_ = errors.As(store.CheckSource(batch.Source), &wrong)
	for i, raw := range batch.Flows {
		flow, err := a.decodeFlow(raw, "", "")
		var r *refusal
		if errors.As(err, &r) {
			status = min(status, r.Status)
			wrong = append(wrong, prefixed(fmt.Sprintf("flows[%d]", i), r.Errors)...)
		}
		flows[i] = flow
	}
	if wrong = append(wrong, doubled(flows)...); len(wrong) > 0 {
		return asked, refuse(status, "the flows cannot be accepted, and none was written; errors lists every fault", wrong...)
	}
	return wire.ApplyRequest{Source: batch.Source, DryRun: batch.DryRun, Flows: flows}, nil
}

// doubled reports flows that a batch has twice: which one counts would be anyone's guess.
func doubled(flows []store.DataFlow) []store.FieldError {
	var wrong []store.FieldError
	first := map[[2]string]int{}
	for i, flow := range flows {
		id := [2]string{flow.Group, flow.Name}
		if earlier, taken := first[id]; taken && flow.Name != "" {
			wrong = append(wrong, store.FieldError{
				Field: fmt.Sprintf("flows[%d].name", i), Found: fmt.Sprintf("%q, as in flows[%d]", flow.Name, earlier), Allowed: "each name once in a group",
			})
			continue
		}
		first[id] = i
	}
	return wrong
}

// prefixed says of which part of the body the fields are.
func prefixed(parent string, fields []store.FieldError) []store.FieldError {
	for i := range fields {
		if fields[i].Field == "" {
			fields[i].Field = parent
		} else {
			fields[i].Field = parent + "." + fields[i].Field
		}
	}
	return fields
}
