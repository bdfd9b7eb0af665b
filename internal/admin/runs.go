package admin

import (
	"context"
	"net/http"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/strictjson"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

func (a *API) listRuns(ctx context.Context, in *struct {
	InPage
	Flow   string `query:"flow" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"a flow: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit"`
	Status string `query:"status" enum:"pending,in_progress,success,failed,cancelled" doc:"pending, in_progress, success, failed or cancelled"`
},
) (*out[wire.RunPage], error) {
	runs, next, err := a.store.Runs(ctx, in.Group, store.RunFilter{
		Flow: in.Flow, Status: store.Status(in.Status), Limit: in.Limit, After: in.After,
	})
	return &out[wire.RunPage]{wire.RunPage{Runs: runs, Next: next}}, err
}

func (a *API) getRun(ctx context.Context, in *InRun) (*out[store.Run], error) {
	run, err := a.store.Run(ctx, in.Group, in.ID)
	return &out[store.Run]{run}, err
}

// text is an answer in plain text. What a flow printed is shown, never run: the type is fixed, and no browser guesses another.
type text struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (a *API) getRunLogs(ctx context.Context, in *InRun) (*text, error) {
	log, err := a.store.RunLog(ctx, in.Group, in.ID)
	return &text{ContentType: "text/plain; charset=utf-8", Body: log}, err
}

func (a *API) startRun(ctx context.Context, in *struct {
	InFlow
	RawBody []byte `contentType:"application/json"`
},
) (*out[wire.RunStarted], error) {
	var ask wire.RunRequest
	if len(in.RawBody) > 0 {
		if err := strictjson.Decode(in.RawBody, &ask); err != nil {
			return nil, malformed(err)
		}
	}
	id, err := a.store.Enqueue(ctx, store.RunNow{Group: in.Group, Flow: in.Name, ID: ask.ID, Params: ask.Params})
	if err != nil {
		return nil, err
	}
	a.cfg.Logger.InfoContext(ctx, "run asked for", logkey.Group, in.Group, logkey.Flow, in.Name, logkey.RunID, id, logkey.Principal, principal(ctx).Name)
	a.hint(ctx, in.Group)
	return &out[wire.RunStarted]{wire.RunStarted{RunID: id}}, nil
}

// hint tells the workers. The run is written already, so a lost hint only makes it wait for the next heartbeat.
func (a *API) hint(ctx context.Context, group string) {
	if a.wake == nil {
		return
	}
	if err := a.wake.Wake(group); err != nil {
		a.cfg.Logger.WarnContext(ctx, "workers were not told of a run; the next heartbeat runs it", logkey.Group, group, logkey.Error, err)
	}
}

func (a *API) listBeats(ctx context.Context, in *InPage) (*out[wire.BeatPage], error) {
	beats, next, err := a.store.Beats(ctx, in.Group, in.Limit, in.After)
	return &out[wire.BeatPage]{wire.BeatPage{Beats: beats, Next: next}}, err
}

// getStatus leaves out the groups that the sender may not read, and refuses one that is asked for.
func (a *API) getStatus(ctx context.Context, in *struct {
	Group string `query:"group" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"a group: 1 to 63 of a-z, 0-9, _ and -, the first a letter or digit; all if left out"`
},
) (*out[wire.StatusList], error) {
	if in.Group != "" {
		if err := a.permit(ctx, in.Group, trigger.ScopeRead); err != nil {
			return nil, err
		}
	}
	all, err := a.store.Status(ctx)
	if err != nil {
		return nil, err
	}
	groups := []store.GroupStatus{}
	for _, status := range all {
		if mayRead(ctx, status.Group) && (in.Group == "" || status.Group == in.Group) {
			groups = append(groups, status)
		}
	}
	return &out[wire.StatusList]{wire.StatusList{Groups: groups}}, nil
}

func (a *API) getHealth(ctx context.Context, _ *struct{}) (*out[wire.Health], error) {
	if err := a.store.Ping(ctx); err != nil {
		return nil, refuse(http.StatusServiceUnavailable, "Redis does not answer").with("Retry-After", "2")
	}
	return &out[wire.Health]{wire.Health{Status: "ok", Version: a.cfg.Version}}, nil
}
