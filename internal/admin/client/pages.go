package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
)

// Flows goes through a group's flows by name, in pages of this size. After an error it ends.
func (c *Client) Flows(ctx context.Context, group string, page int) iter.Seq2[store.FlowView, error] {
	return pages(func(after string) ([]store.FlowView, string, error) {
		var got wire.FlowPage
		err := c.call(ctx, http.MethodGet, "/api/v1/flows", query(group, page, after), nil, &got)
		return got.Flows, got.Next, err
	})
}

// Runs goes through a group's runs, the newest first, page by page. filter.Limit is the size of a page. After an error it ends.
func (c *Client) Runs(ctx context.Context, group string, filter store.RunFilter) iter.Seq2[store.Run, error] {
	return pages(func(after string) ([]store.Run, string, error) {
		if after == "" {
			after = filter.After
		}
		values := query(group, filter.Limit, after)
		set(values, "flow", filter.Flow)
		set(values, "status", string(filter.Status))
		var page wire.RunPage
		err := c.call(ctx, http.MethodGet, "/api/v1/runs", values, nil, &page)
		return page.Runs, page.Next, err
	})
}

// Beats goes through a group's heartbeats, the newest first, in pages of this size. After an error it ends.
func (c *Client) Beats(ctx context.Context, group string, page int) iter.Seq2[store.BeatView, error] {
	return pages(func(after string) ([]store.BeatView, string, error) {
		var got wire.BeatPage
		err := c.call(ctx, http.MethodGet, "/api/v1/beats", query(group, page, after), nil, &got)
		return got.Beats, got.Next, err
	})
}

// pages asks for a page when the one before has been gone through: who stops early, asks no further.
func pages[T any](fetch func(after string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for after := ""; ; {
			entries, next, err := fetch(after)
			if err != nil {
				yield(none, err)
				return
			}
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == after {
				yield(none, errors.New("the server repeats the page after "+strconv.Quote(after)))
				return
			}
			after = next
		}
	}
}

// query gives the parameters of a listing. Zero values are left to the server.
func query(group string, limit int, after string) url.Values {
	values := url.Values{}
	set(values, "group", group)
	set(values, "after", after)
	if limit > 0 {
		values.Set("limit", strconv.Itoa(limit))
	}
	return values
}

func set(values url.Values, name, value string) {
	if value != "" {
		values.Set(name, value)
	}
}
