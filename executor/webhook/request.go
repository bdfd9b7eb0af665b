package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/systole-run/systole/executor"
)

// Body is the JSON that a request carries. A GET carries none, as servers and proxies refuse one: its receiver has the
// headers only.
type Body struct {
	Flow         string          `json:"flow"`
	Group        string          `json:"group"`
	RunID        string          `json:"run_id"`
	OccurrenceID string          `json:"occurrence_id"` // the same for every attempt: the receiver's idempotency key
	Slot         *time.Time      `json:"slot"`          // null for a run-now
	Attempt      int             `json:"attempt"`
	Token        string          `json:"token"` // higher for every attempt; decimal
	Params       json.RawMessage `json:"params"`
	Cursor       string          `json:"cursor"`
	Deadline     *time.Time      `json:"deadline"` // by the worker's clock
	Worker       string          `json:"worker"`
	Callback     *Callback       `json:"callback,omitempty"` // only where the flow takes one
}

// errInvalidURL stands for errors that would show the URL's query.
var errInvalidURL = errors.New("found a method or URL that is not valid")

// request makes the one request of a run. Its errors are permanent.
func (e *Executor) request(ctx context.Context, task executor.Task, callback *callback) (*http.Request, error) {
	spec := task.Flow.HTTP
	var body []byte
	if spec.Method != http.MethodGet {
		var err error
		if body, err = json.Marshal(bodyOf(task, callback)); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, spec.Method, spec.URL, content(body))
	if err != nil {
		return nil, errInvalidURL
	}
	if err := setFlowHeaders(request.Header, task); err != nil {
		return nil, err
	}
	return request, e.setHeaders(request.Header, task, body)
}

// setFlowHeaders sets what the flow says.
func setFlowHeaders(header http.Header, task executor.Task) error {
	for name, setting := range task.Flow.HTTP.Headers {
		value, err := task.Reveal(setting)
		if err != nil {
			return fmt.Errorf("set header %s: %w", name, err)
		}
		header.Set(name, value)
	}
	if reference := task.Flow.HTTP.Bearer; reference != "" {
		token, err := task.Reveal(reference)
		if err != nil {
			return fmt.Errorf("set http.bearer: %w", err)
		}
		header.Set("Authorization", "Bearer "+token)
	}
	for name, values := range header {
		if !httpguts.ValidHeaderFieldValue(values[0]) {
			return fmt.Errorf("set header %s: found a value with control characters, allowed is text on one line", name)
		}
	}
	return nil
}

// setHeaders sets the runtime's own headers over the flow's. Names and meaning of webhook-… are those of Standard
// Webhooks.
func (e *Executor) setHeaders(header http.Header, task executor.Task, body []byte) error {
	now := e.cfg.Now()
	header.Set("webhook-id", task.OccurrenceID)
	header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	if len(task.Flow.HTTP.Sign) > 0 {
		signed, err := signatures(task, now, body)
		if err != nil {
			return err
		}
		header.Set("webhook-signature", signed)
	}
	if task.TraceParent != "" {
		header.Set("traceparent", task.TraceParent)
	}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", e.cfg.UserAgent)
	}
	return nil
}

func bodyOf(task executor.Task, callback *callback) Body {
	body := Body{
		Flow: task.Flow.Name, Group: task.Flow.Group,
		RunID: task.RunID, OccurrenceID: task.OccurrenceID, Slot: orNull(task.Slot),
		Attempt: task.Attempt, Token: task.Token, Params: task.Params,
		Cursor: task.Cursor, Deadline: orNull(task.Deadline), Worker: task.Worker,
	}
	if callback != nil {
		body.Callback = &callback.Callback
	}
	return body
}

// content is a body for http.NewRequest, which tells none from an empty one by the nil interface.
func content(body []byte) io.Reader {
	if body == nil {
		return nil
	}
	return bytes.NewReader(body)
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
