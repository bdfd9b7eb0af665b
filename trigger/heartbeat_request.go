package trigger

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// readHeartbeat makes a beat of a request, or lists everything that is wrong with the request and its body.
//
// The group is that of the path; a path without one leaves it to the body, and the body to DefaultGroup. A path and a
// body that name two groups are an error.
func (g *Gateway) readHeartbeat(w http.ResponseWriter, r *http.Request, c *call) (Beat, time.Duration, error) {
	data, err := readBody(w, r, c, g.cfg.MaxBody)
	if err != nil {
		return Beat{}, 0, err
	}
	var invalid InvalidError
	if c.route.group != "" {
		invalid.name("group", c.route.group)
	}
	wait := invalid.wait(invalid.query(r, "wait"), g.cfg.MaxWait)
	body, err := DecodeBeatBody(data)
	if wrong := (InvalidError{}); errors.As(err, &wrong) {
		invalid = append(invalid, wrong...)
	} else if err != nil {
		return Beat{}, 0, fmt.Errorf("read heartbeat: %w", err)
	}
	group := g.groupOf(&invalid, c.route.group, body.Group)
	id := invalid.messageID(r, c.principal, group)
	beat := Beat{ID: id, Group: group, Source: body.Source, Note: body.Note, TraceParent: TraceParent(r.Context())}
	return beat, wait, invalid.orNil()
}

func (g *Gateway) groupOf(invalid *InvalidError, inPath, inBody string) string {
	switch {
	case inPath == "" && inBody == "":
		return DefaultGroup
	case inPath == "":
		return inBody
	case inBody != "" && inBody != inPath:
		invalid.add("group", quote(inBody)+" in the body", quote(inPath)+", as in the path")
	}
	return inPath
}

// answer is what goes to the client.
func (o Outcome) answer() any {
	if o.Status == StatusSettled {
		return settledAnswer{
			BeatID: o.BeatID, Group: o.Group, Status: o.Status, Duplicate: o.Duplicate,
			FlowsDue: o.Settled.FlowsDue, FlowsTriggered: o.Settled.FlowsTriggered,
			Succeeded: o.Settled.Succeeded, Failed: o.Settled.Failed, Timestamp: o.Settled.Timestamp,
		}
	}
	return acceptedAnswer{BeatID: o.BeatID, Group: o.Group, Status: o.Status, AcceptedAt: o.AcceptedAt, Duplicate: o.Duplicate}
}

type acceptedAnswer struct {
	BeatID     string    `json:"beat_id"`
	Group      string    `json:"group"`
	Status     string    `json:"status"`
	AcceptedAt time.Time `json:"accepted_at"`
	Duplicate  bool      `json:"duplicate,omitempty"`
}

type settledAnswer struct {
	BeatID         string    `json:"beat_id"`
	Group          string    `json:"group"`
	Status         string    `json:"status"`
	Duplicate      bool      `json:"duplicate,omitempty"`
	FlowsDue       int       `json:"flows_due"`
	FlowsTriggered int       `json:"flows_triggered"`
	Succeeded      int       `json:"succeeded"`
	Failed         int       `json:"failed"`
	Timestamp      time.Time `json:"timestamp"`
}

// answerGrace is how long storing and answering may take beyond the wait that was asked for.
const answerGrace = 30 * time.Second

// allowTime makes room for a wait in the write timeout of the connection, which is meant for requests that are answered
// at once. (The read timeout ends with the body.) Where the server does not offer that, its own timeout holds.
func allowTime(w http.ResponseWriter, wait time.Duration) {
	if wait > 0 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + answerGrace))
	}
}
