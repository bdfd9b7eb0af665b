package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/store"
)

func (a *API) listDead(ctx context.Context, in *InPage) (*out[wire.RunPage], error) {
	runs, next, err := a.store.Dead(ctx, in.Group, in.Limit, in.After)
	if runs == nil {
		runs = []store.Run{}
	}
	return &out[wire.RunPage]{wire.RunPage{Runs: runs, Next: next}}, err
}

func (a *API) retryDead(ctx context.Context, in *InRun) (*out[wire.RunStarted], error) {
	return a.retryWith(ctx, a.store.RetryDead, in.Group, in.ID)
}

func notDead(group, id string) error {
	return fmt.Errorf("run %s among the dead of group %s: %w", id, group, store.ErrNotFound)
}

func (a *API) purgeDead(ctx context.Context, in *InRun) (*out[wire.Purged], error) {
	answer, err := a.purge(ctx, in.Group, []string{in.ID})
	if err == nil && answer.Body.Purged == 0 {
		return nil, notDead(in.Group, in.ID)
	}
	return answer, err
}

// purgeAllDead wants to be told that all is meant: an address that lost its end shall not empty a list.
func (a *API) purgeAllDead(ctx context.Context, in *struct {
	InGroup
	All string `query:"all" enum:"true" doc:"true, which says that all of the group's are meant"`
},
) (*out[wire.Purged], error) {
	if in.All != "true" {
		return nil, refuse(http.StatusBadRequest, "this empties the list; confirm it with all=true",
			store.FieldError{Field: "all", Found: "nothing", Allowed: "true, which says that all of the group's are meant"})
	}
	return a.purge(ctx, in.Group, nil)
}

func (a *API) purge(ctx context.Context, group string, ids []string) (*out[wire.Purged], error) {
	purged, err := a.store.PurgeDead(ctx, group, ids)
	if err != nil {
		return nil, err
	}
	if purged > 0 {
		a.cfg.Logger.InfoContext(ctx, "dead occurrences purged", logkey.Group, group, logkey.Count, purged,
			logkey.RunID, strings.Join(ids, " "), logkey.Principal, principal(ctx).Name)
	}
	return &out[wire.Purged]{wire.Purged{Purged: purged}}, nil
}
