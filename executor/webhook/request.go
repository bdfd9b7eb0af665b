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
}

// request makes the one request of a run.
func (e *Executor) request(ctx context.Context, task executor.Task) (*http.Request, error) {
	spec := task.Flow.HTTP
	if spec == nil {
		return nil, fmt.Errorf("found a flow of kind %q", task.Flow.Kind())
	}
	var body []byte
	if spec.Method != http.MethodGet {
		var err error
		if body, err = json.Marshal(bodyOf(task)); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, spec.Method, spec.URL, content(body))
	if err != nil {
		return nil, errors.New("found a method or URL that is not valid") // the error itself would show the URL's query
	}
	for name, setting := range spec.Headers {
		value, err := task.Reveal(setting)
		if err != nil {
			return nil, fmt.Errorf("set header %s: %w", name, err)
		}
		request.Header.Set(name, value)
	}
	e.setHeaders(request.Header, task, body)
	return request, nil
}

// setHeaders sets the runtime's own headers over the flow's. Names and meaning of webhook-… are those of Standard
// Webhooks.
func (e *Executor) setHeaders(header http.Header, task executor.Task, body []byte) {
	header.Set("webhook-id", task.OccurrenceID)
	header.Set("webhook-timestamp", strconv.FormatInt(e.cfg.Now().Unix(), 10))
	if task.TraceParent != "" {
		header.Set("traceparent", task.TraceParent)
	}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", e.cfg.UserAgent)
	}
}

func bodyOf(task executor.Task) Body {
	return Body{
		Flow: task.Flow.Name, Group: task.Flow.Group,
		RunID: task.RunID, OccurrenceID: task.OccurrenceID, Slot: orNull(task.Slot),
		Attempt: task.Attempt, Token: task.Token, Params: task.Params,
		Cursor: task.Cursor, Deadline: orNull(task.Deadline), Worker: task.Worker,
	}
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
