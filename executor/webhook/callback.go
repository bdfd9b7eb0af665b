package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/internal/secret"
	"github.com/systole-run/systole/internal/strictjson"
	"github.com/systole-run/systole/store"
)

// Callbacks bring what receivers report of the end of runs. trigger.Callbacks does that over the gateway. Safe for
// concurrent use.
type Callbacks interface {
	// Await takes one report on an attempt until stop is called or until has passed; fence is the attempt's fencing token.
	// The receiver is to send it to url, with token as its credential. When Await returns, a report can come. take is
	// called with the report's body and is told none after it has taken one; what it gives an error for goes back to
	// the receiver, with the error, and may come again. No report is taken after stop has returned; calling stop twice is
	// harmless.
	Await(group, runID, fence string, until time.Time, take func(body []byte) error) (url, token string, stop func(), err error)
}

// Callback says in a request's body where the end of the run is to be reported, if it is not in the answer.
type Callback struct {
	URL   string `json:"url"`
	Token string `json:"token"` // the report's credential: Authorization: Bearer …
}

// Report is what a receiver says of the end of a run, as JSON. An empty one is a success.
type Report struct {
	Status    string          `json:"status"`    // success (default) or failed
	Error     string          `json:"error"`     // why it failed; cut to executor.MaxText
	Permanent bool            `json:"permanent"` // it failed for good: no retry
	Message   string          `json:"message"`   // for a success; cut to executor.MaxText
	Cursor    json.RawMessage `json:"cursor"`    // for a success: the new cursor; null changes nothing
	Output    string          `json:"output"`    // added to the run's log
}

// readReport reads a report, or says what is wrong with it.
func readReport(body []byte) (Report, error) {
	report := Report{Status: string(store.StatusSuccess)}
	if len(body) == 0 {
		return report, nil
	}
	if err := strictjson.Decode(body, &report); err != nil {
		return report, err
	}
	switch report.Status {
	case string(store.StatusSuccess):
		if report.Error != "" || report.Permanent {
			return report, errors.New("error, permanent: found one of them beside a success, allowed is status: failed with them")
		}
	case string(store.StatusFailed):
		if report.Message != "" || len(report.Cursor) > 0 {
			return report, errors.New("message, cursor: found one of them beside a failure, allowed is error, permanent and output with it")
		}
	default:
		return report, fmt.Errorf("status: found %q, allowed is success or failed", executor.Clip(report.Status, 80))
	}
	return report, nil
}

func (r Report) result() executor.Result {
	if r.Status == string(store.StatusSuccess) {
		return executor.Result{Message: r.Message, Cursor: executor.JSONCursor(r.Cursor)}
	}
	text := r.Error
	if text == "" {
		text = "the receiver reported a failure and no error"
	}
	err := errors.New(text)
	if r.Permanent {
		err = executor.Permanent(err)
	}
	return executor.Failure(store.ReasonError, err)
}

// callback is one run that may be reported on.
type callback struct {
	Callback
	stop    func()
	reports chan Report // takes one
}

// await makes the run one that can be reported on. It gives nil for a flow that wants none.
func (e *Executor) await(task executor.Task) (*callback, error) {
	if !task.Flow.HTTP.Callback {
		return nil, nil
	}
	if e.cfg.Callbacks == nil {
		return nil, executor.Permanent(errors.New("take callback: found http.callback, and this worker has no callback.url and callback.key to take one with"))
	}
	c := &callback{reports: make(chan Report, 1)}
	var err error
	c.URL, c.Token, c.stop, err = e.cfg.Callbacks.Await(task.Flow.Group, task.RunID, task.Token, task.Deadline, func(body []byte) error {
		report, err := readReport(body)
		if err == nil {
			c.reports <- report
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take callback: %w", err)
	}
	return c, nil
}

// conceal keeps the token, which receivers like to repeat, out of an answer.
func (c *callback) conceal(text []byte) []byte {
	if c == nil {
		return text
	}
	return []byte(secret.NewRedactor(c.Token).Text(string(text)))
}

// end is the result of a run that the receiver has been asked for: what it reported, if it did before or instead of
// answering; else what it answered, unless that is 202, which means that the report is to come.
func (c *callback) end(ctx context.Context, task executor.Task, answered executor.Result, code int) executor.Result {
	if c == nil {
		return answered
	}
	if code == http.StatusAccepted && answered.Err == nil {
		fmt.Fprintln(task.Output(), "waiting for the callback")
		select {
		case report := <-c.reports:
			return report.log(task)
		case <-ctx.Done():
			answered = executor.Interrupted(ctx, errors.New("no callback came"))
		}
	}
	c.stop() // from here on none is taken; one may have been
	select {
	case report := <-c.reports:
		return report.log(task)
	default:
		return answered
	}
}

// log adds the report to the run's log, and gives its result.
func (r Report) log(task executor.Task) executor.Result {
	fmt.Fprintf(task.Output(), "callback: %s\n", r.Status)
	if output := strings.TrimSuffix(r.Output, "\n"); output != "" {
		fmt.Fprintln(task.Output(), output)
	}
	return r.result()
}
