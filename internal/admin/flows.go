package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

func (a *API) listFlows(ctx context.Context, in *InPage) (*out[wire.FlowPage], error) {
	flows, next, err := a.store.Flows(ctx, in.Group, in.Limit, in.After)
	return &out[wire.FlowPage]{wire.FlowPage{Flows: flows, Next: next}}, err
}

func (a *API) getFlow(ctx context.Context, in *InFlow) (*out[store.FlowView], error) {
	flow, err := a.store.Flow(ctx, in.Group, in.Name)
	return &out[store.FlowView]{flow}, err
}

func (a *API) deleteFlow(ctx context.Context, in *struct {
	InFlow
	Source string `query:"source" maxLength:"200" doc:"where the flow has to be applied from, up to 200 bytes; anywhere if left out"`
},
) (*struct{}, error) {
	var err error
	if in.Source == "" {
		err = a.store.DeleteFlow(ctx, in.Group, in.Name)
	} else {
		err = a.store.DeleteFlowFrom(ctx, in.Source, in.Group, in.Name)
	}
	if err != nil {
		return nil, err
	}
	a.logChanges(ctx, store.FlowChange{Group: in.Group, Name: in.Name, Result: store.FlowDeleted})
	a.hint(ctx, in.Group) // what waited of it is to be ended
	return nil, nil
}

// putFlow takes its group from the query or from the body; where both name one, it is the same.
func (a *API) putFlow(ctx context.Context, in *struct {
	Name    string `path:"name" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"a flow: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"`
	Group   string `query:"group" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"a group: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit; the one of the body if left out"`
	RawBody []byte `contentType:"application/json"`
},
) (*changed, error) {
	return a.put(ctx, in.RawBody, in.Name, in.Group)
}

func (a *API) postFlow(ctx context.Context, in *struct {
	RawBody []byte `contentType:"application/json"`
},
) (*changed, error) {
	return a.put(ctx, in.RawBody, "", "")
}

// changed answers 201 for a flow that is new, else 200.
type changed struct {
	Status int
	Body   store.FlowChange
}

// put writes one definition. A name or group that the address gives need not be in the body.
func (a *API) put(ctx context.Context, body []byte, name, group string) (*changed, error) {
	flow, err := a.decodeFlow(body, name, group)
	if err != nil {
		return nil, err
	}
	if err := a.permit(ctx, flow.Group, trigger.ScopeWrite); err != nil {
		return nil, err
	}
	var invalid store.InvalidError
	if errors.As(a.cfg.CheckFlow(flow), &invalid) {
		return nil, refuse(http.StatusUnprocessableEntity, "the flow cannot run; errors lists every fault", invalid...)
	}
	changes, err := a.store.PutFlows(ctx, "", []store.DataFlow{flow})
	if err != nil {
		return nil, err
	}
	a.logChanges(ctx, changes...)
	status := http.StatusOK
	if changes[0].Result == store.FlowChanged {
		a.hint(ctx, flow.Group) // runs that waited for others may overlap now, or have a place
	}
	if changes[0].Result == store.FlowCreated {
		status = http.StatusCreated
	}
	return &changed{status, changes[0]}, nil
}
