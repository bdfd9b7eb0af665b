package trigger

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/systole-run/systole/internal/logkey"
)

// runNow takes a request to run a flow once, now, with the JSON object in the body as its parameters. Whether there is
// such a flow, and whether it takes these parameters, only the workers know.
func (g *Gateway) runNow(w http.ResponseWriter, r *http.Request, c *call) error {
	request, err := readRun(w, r, c)
	if err != nil {
		return err
	}
	// Whoever hangs up after asking for a run still meant it.
	ack, err := g.beats.PublishRun(context.WithoutCancel(r.Context()), request)
	if err != nil {
		return err
	}
	c.note(slog.String(logkey.MessageID, ack.ID), slog.String(logkey.Group, request.Group), slog.String(logkey.Flow, request.Flow))
	writeJSON(w, "application/json", http.StatusAccepted, runAnswer{
		RunRequestID: ack.ID, Group: request.Group, Flow: request.Flow, Status: StatusAccepted,
		AcceptedAt: time.Now().UTC(), Duplicate: ack.Duplicate,
	})
	return nil
}

// runAnswer has no run id: the run begins, and gets its id, when a worker has taken the request up.
type runAnswer struct {
	RunRequestID string    `json:"run_request_id"`
	Group        string    `json:"group"`
	Flow         string    `json:"flow"`
	Status       string    `json:"status"`
	AcceptedAt   time.Time `json:"accepted_at"`
	Duplicate    bool      `json:"duplicate,omitempty"`
}

// readRun makes a run request of an HTTP request, or lists everything that is wrong with it.
func readRun(w http.ResponseWriter, r *http.Request, c *call) (RunRequest, error) {
	data, err := readBody(w, r, c, MaxParams)
	if err != nil {
		return RunRequest{}, err
	}
	group, flow := c.route.group, c.route.flow
	var invalid InvalidError
	invalid.name("group", group)
	invalid.name("flow", flow)
	invalid.query(r)
	invalid.checkParams(data)
	id := invalid.messageID(r, c.principal, group+"."+flow)
	request := RunRequest{ID: id, Group: group, Flow: flow, Params: data, Signed: c.principal.request, TraceParent: TraceParent(r.Context())}
	return request, invalid.orNil()
}
