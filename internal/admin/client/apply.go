package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
)

// Apply is how definitions are applied. Its zero value writes them without saying where they are from.
type Apply struct {
	Source   string         // recorded as where they are from; empty leaves what is recorded
	DryRun   bool           // only say what would become of each
	Progress func(done int) // told how many flows are done, after each batch; nil tells nobody
}

// Apply writes definitions: those of one batch, up to 1,000, all or none. More go in several batches; an error in a
// later one comes with the results of those before it.
func (c *Client) Apply(ctx context.Context, how Apply, flows []store.DataFlow) ([]store.FlowChange, error) {
	results := make([]store.FlowChange, 0, len(flows))
	for len(results) < len(flows) {
		ask := wire.ApplyRequest{Source: how.Source, DryRun: how.DryRun}
		rest := flows[len(results):]
		count, err := batch(ask, rest)
		if err != nil {
			return results, err
		}
		ask.Flows = rest[:count]
		var applied wire.Applied
		if err := c.call(ctx, http.MethodPost, "/api/v1/flows:apply", nil, ask, &applied); err != nil {
			return results, err
		}
		if len(applied.Results) != count {
			return results, fmt.Errorf("apply flows: the server answers with %d results for %d flows", len(applied.Results), count)
		}
		results = append(results, applied.Results...)
		if how.Progress != nil {
			how.Progress(len(results))
		}
	}
	return results, nil
}

// batch gives how many of the flows one request takes, at least one.
func batch(ask wire.ApplyRequest, flows []store.DataFlow) (count int, err error) {
	frame, err := json.Marshal(ask)
	if err != nil {
		return 0, fmt.Errorf("encode the request: %w", err)
	}
	size := len(frame)
	for _, flow := range flows {
		text, err := json.Marshal(flow)
		if err != nil {
			return 0, fmt.Errorf("encode flow %s: %w", flow.Name, err)
		}
		size += len(text) + len(",")
		if count == wire.MaxApply || (size > wire.MaxApplyBody && count > 0) {
			break
		}
		count++
	}
	return count, nil
}

// Applied goes through the flows of all groups that were applied from a source, page by page, in no order. After an error
// it ends.
func (c *Client) Applied(ctx context.Context, source string) iter.Seq2[store.FlowRef, error] {
	return pages(func(after string) ([]store.FlowRef, string, error) {
		values := query("", wire.MaxPage, after)
		set(values, "source", source)
		var page wire.FlowRefPage
		err := c.call(ctx, http.MethodGet, "/api/v1/flows:applied", values, nil, &page)
		return page.Flows, page.Next, err
	})
}

// Prune deletes one flow as long as source is still where it was applied from. deleted is false if it no longer is, or the
// flow is gone.
func (c *Client) Prune(ctx context.Context, source string, flow store.FlowRef) (deleted bool, err error) {
	if err := checkFlow(flow.Name); err != nil {
		return false, err
	}
	if source == "" {
		return false, store.FieldError{Field: "source", Found: "nothing", Allowed: "where the flow was applied from"}
	}
	values := query(flow.Group, 0, "")
	set(values, "source", source)
	err = c.call(ctx, http.MethodDelete, "/api/v1/flows/"+flow.Name, values, nil, nil)
	if refusal := new(Error); errors.As(err, &refusal) && refusal.NotFound() {
		return false, nil
	}
	return err == nil, err
}
