package trigger

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/systole-run/systole/internal/logkey"
)

// callbackAnswer answers a report that was taken.
type callbackAnswer struct {
	RunID     string `json:"run_id"`
	Status    string `json:"status"` // StatusAccepted
	Duplicate bool   `json:"duplicate,omitempty"`
}

// identifyCallback lets a report in by its own token, which is for one attempt at the run in the path.
func (g *Gateway) identifyCallback(r *http.Request, c *call) error {
	token, err := credential(r.Header)
	if err != nil {
		return err
	}
	attempt, err := g.cfg.Callbacks.key().open(token)
	if err != nil || attempt.RunID != c.route.run {
		return refusedAs("callback", ReasonUnknown)
	}
	c.principal = Principal{Name: "callback", Kind: "callback"}
	c.attempt, c.token = attempt, token
	return nil
}

// callback takes what a receiver reports of the end of a run, and answers what the run's worker says to it. Whether it is a
// report, only the worker knows: the gateway looks at its size, and that it is JSON.
func (g *Gateway) callback(w http.ResponseWriter, r *http.Request, c *call) error {
	var invalid InvalidError
	invalid.query(r)
	body, err := readBody(w, r, c, MaxReport)
	if err != nil {
		return err
	}
	if len(body) > 0 && !json.Valid(body) {
		invalid.add("body", "what is no JSON", "nothing, or one JSON object")
	}
	if err := invalid.orNil(); err != nil {
		return err
	}
	c.note(slog.String(logkey.Group, c.attempt.Group), slog.String(logkey.RunID, c.attempt.RunID))
	if c.attempt.over(time.Now()) {
		return NewProblem(http.StatusGone, "the time for reports on this run has passed")
	}
	answer, err := g.cfg.Callbacks.deliver(r.Context(), c.attempt, c.token, body)
	if err != nil {
		return err
	}
	switch answer.Outcome {
	case reportAccepted, reportDuplicate:
		duplicate := answer.Outcome == reportDuplicate
		c.note(slog.Bool(logkey.Duplicate, duplicate))
		writeJSON(w, "application/json", http.StatusAccepted, callbackAnswer{RunID: c.attempt.RunID, Status: StatusAccepted, Duplicate: duplicate})
		return nil
	case reportConflict:
		return NewProblem(http.StatusConflict, "another report on this run was accepted before")
	case reportInvalid:
		return NewProblem(http.StatusBadRequest, "the report is invalid: "+answer.Detail)
	}
	return fmt.Errorf("answer to callback: found outcome %q", answer.Outcome)
}
