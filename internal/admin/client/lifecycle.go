package client

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
)

// PauseFlow lets no slot of a flow run until it is resumed. reason is up to wire.MaxReason bytes, and may be empty. A
// flow that is paused already keeps its reason.
func (c *Client) PauseFlow(ctx context.Context, group, name, reason string) error {
	if err := checkFlow(name); err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, "/api/v1/flows/"+name+"/pause", query(group, 0, ""), wire.ReasonRequest{Reason: reason}, nil)
}

// ResumeFlow lets a paused flow run again; for one that is not paused it changes nothing.
func (c *Client) ResumeFlow(ctx context.Context, group, name string) error {
	if err := checkFlow(name); err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, "/api/v1/flows/"+name+"/resume", query(group, 0, ""), nil, nil)
}

// CancelRun asks for a run to be ended and gives where it stands: cancelled, or in progress until its worker has ended
// it. A run that has ended already is refused with 409. reason is as in PauseFlow.
func (c *Client) CancelRun(ctx context.Context, group, id, reason string) (wire.RunCancelled, error) {
	var cancelled wire.RunCancelled
	if err := checkRun(id); err != nil {
		return cancelled, err
	}
	err := c.call(ctx, http.MethodPost, "/api/v1/runs/"+id+"/cancel", query(group, 0, ""), wire.ReasonRequest{Reason: reason}, &cancelled)
	return cancelled, err
}

// RetryRun runs a finished run again, with the same parameters, and gives the id of the new one. A run that has not
// ended is refused with 409. Repeating it starts another run.
func (c *Client) RetryRun(ctx context.Context, group, id string) (runID string, err error) {
	return c.startFrom(ctx, "/api/v1/runs/", group, id)
}

// Slots reads what became of up to limit of a flow's slots, the newest first; 0 leaves the number to the server.
func (c *Client) Slots(ctx context.Context, group, flow string, limit int) ([]store.SlotRange, error) {
	var list wire.SlotList
	if err := checkFlow(flow); err != nil {
		return nil, err
	}
	err := c.call(ctx, http.MethodGet, "/api/v1/flows/"+flow+"/slots", query(group, limit, ""), nil, &list)
	return list.Slots, err
}

// SlotAt reads what became of a flow's slot at that time.
func (c *Client) SlotAt(ctx context.Context, group, flow string, at time.Time) ([]store.SlotRange, error) {
	var list wire.SlotList
	if err := checkFlow(flow); err != nil {
		return nil, err
	}
	values := query(group, 0, "")
	values.Set("at", at.Format(time.RFC3339Nano))
	err := c.call(ctx, http.MethodGet, "/api/v1/flows/"+flow+"/slots", values, nil, &list)
	return list.Slots, err
}

// Dead goes through a group's occurrences that failed for good, the newest first, by their last run, page by page.
// limit is the size of a page; 0 leaves it to the server. After an error it ends.
func (c *Client) Dead(ctx context.Context, group string, limit int) iter.Seq2[store.Run, error] {
	return pages(func(after string) ([]store.Run, string, error) {
		var page wire.RunPage
		err := c.call(ctx, http.MethodGet, "/api/v1/dead", query(group, limit, after), nil, &page)
		return page.Runs, page.Next, err
	})
}

// RetryDead runs an occurrence that failed for good again, takes it off the list, and gives the id of the new run.
func (c *Client) RetryDead(ctx context.Context, group, id string) (runID string, err error) {
	return c.startFrom(ctx, "/api/v1/dead/", group, id)
}

func (c *Client) startFrom(ctx context.Context, path, group, id string) (runID string, err error) {
	if err := checkRun(id); err != nil {
		return "", err
	}
	var started wire.RunStarted
	err = c.call(ctx, http.MethodPost, path+id+"/retry", query(group, 0, ""), nil, &started)
	return started.RunID, err
}

// PurgeDead takes occurrences off the list of those that failed for good. Ids that are none are found before any is
// sent; after an error, purged counts what was taken off before it.
func (c *Client) PurgeDead(ctx context.Context, group string, ids ...string) (purged int, err error) {
	for _, id := range ids {
		if err := checkRun(id); err != nil {
			return 0, err
		}
	}
	for _, id := range ids {
		var answer wire.Purged
		if err := c.call(ctx, http.MethodDelete, "/api/v1/dead/"+id, query(group, 0, ""), nil, &answer); err != nil {
			return purged, err
		}
		purged += answer.Purged
	}
	return purged, nil
}

// PurgeAllDead empties a group's list of occurrences that failed for good, and gives how many there were.
func (c *Client) PurgeAllDead(ctx context.Context, group string) (purged int, err error) {
	values := query(group, 0, "")
	values.Set("all", "true")
	var answer wire.Purged
	err = c.call(ctx, http.MethodDelete, "/api/v1/dead", values, nil, &answer)
	return answer.Purged, err
}
