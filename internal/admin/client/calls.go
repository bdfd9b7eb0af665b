package client

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
)

// Flow reads one flow.
func (c *Client) Flow(ctx context.Context, group, name string) (store.FlowView, error) {
	var flow store.FlowView
	if err := checkFlow(name); err != nil {
		return flow, err
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/flows/"+name, query(group, 0, ""), nil, &flow)
	return flow, err
}

// DeleteFlow deletes one flow.
func (c *Client) DeleteFlow(ctx context.Context, group, name string) error {
	if err := checkFlow(name); err != nil {
		return err
	}
	return c.call(ctx, http.MethodDelete, "/api/v1/flows/"+name, query(group, 0, ""), nil, nil)
}

// StartRun asks for a run of a flow and gives its id. With ask.ID, repeating it starts one run only.
func (c *Client) StartRun(ctx context.Context, group, flow string, ask wire.RunRequest) (runID string, err error) {
	if err := checkFlow(flow); err != nil {
		return "", err
	}
	var started wire.RunStarted
	err = c.call(ctx, http.MethodPost, "/api/v1/flows/"+flow+"/runs", query(group, 0, ""), ask, &started)
	return started.RunID, err
}

// Run reads one run.
func (c *Client) Run(ctx context.Context, group, id string) (store.Run, error) {
	var run store.Run
	if err := checkRun(id); err != nil {
		return run, err
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/runs/"+id, query(group, 0, ""), nil, &run)
	return run, err
}

// RunLog reads the end of a run's output.
func (c *Client) RunLog(ctx context.Context, group, id string) ([]byte, error) {
	if err := checkRun(id); err != nil {
		return nil, err
	}
	return c.send(ctx, http.MethodGet, "/api/v1/runs/"+id+"/logs", query(group, 0, ""), nil)
}

// Status reads a group at a glance, or every group where none is named.
func (c *Client) Status(ctx context.Context, group string) ([]store.GroupStatus, error) {
	var status wire.StatusList
	err := c.call(ctx, http.MethodGet, "/api/v1/status", query(group, 0, ""), nil, &status)
	return status.Groups, err
}

// checkFlow keeps what is no name out of a path, where it could lead elsewhere.
func checkFlow(name string) error {
	if store.ValidName(name) {
		return nil
	}
	return store.FieldError{Field: "flow", Found: fmt.Sprintf("%.80q", name), Allowed: "1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"}
}

// checkRun does the same for run ids, which start with the name of their flow.
func checkRun(id string) error {
	flow, number, found := strings.Cut(id, "~")
	if found && store.ValidName(flow) && store.ValidName(number) {
		return nil
	}
	return store.FieldError{Field: "run", Found: fmt.Sprintf("%.80q", id), Allowed: "a run id such as orders-sync~1763848800000000"}
}
