package webhook

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/store"
)

// MaxAnswer is how much of an answer's body is read, in bytes.
const MaxAnswer = 64 << 10

// errorStart is how much of the body an error shows, in bytes.
const errorStart = 512

// answer is what the server said, as far as it was read.
type answer struct {
	code     int
	status   string // such as "503 Service Unavailable"
	location string // where a redirect would have led, as it may be shown
	json     bool   // by its content type
	body     []byte
	cut      bool // there was more
}

// readAnswer reads up to MaxAnswer of the body. A body that breaks off is an error: it might have carried the cursor.
func readAnswer(response *http.Response) (answer, error) {
	a := answer{
		code:     response.StatusCode,
		status:   executor.Clip(response.Status, errorStart),
		location: locationOf(response),
		json:     isJSON(response.Header.Get("Content-Type")),
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxAnswer+1))
	if err != nil {
		return answer{}, fmt.Errorf("read answer (%s): %w", a.status, err)
	}
	a.cut = len(body) > MaxAnswer
	a.body = body[:min(len(body), MaxAnswer)]
	return a, nil
}

// locationOf says where a redirect leads, without the query that may carry secrets.
func locationOf(response *http.Response) string {
	location, err := response.Location()
	if err != nil {
		return "nowhere"
	}
	return executor.Clip(place(location), errorStart)
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// result translates the status: 2xx is success, 429 and 5xx fail and may be retried, all else fails for good.
func (a answer) result() executor.Result {
	switch {
	case a.code >= 200 && a.code < 300:
		return a.success()
	case a.code >= 300 && a.code < 400:
		return a.failure(executor.Permanent(fmt.Errorf("answered %s, a redirect to %s, which is not followed", a.status, a.location)))
	case a.code == http.StatusTooManyRequests || a.code >= 500:
		return a.failure(fmt.Errorf("answered %s", a.status))
	}
	return a.failure(executor.Permanent(fmt.Errorf("answered %s", a.status)))
}

func (a answer) failure(err error) executor.Result {
	if start := strings.TrimSpace(executor.Clip(string(a.body), errorStart)); start != "" {
		err = fmt.Errorf("%w: %s", err, start)
	}
	return executor.Failure(store.ReasonError, err)
}

// success takes the cursor and message from an answer in JSON. One too long to be read is none that carries a cursor,
// which the run's log tells.
func (a answer) success() executor.Result {
	if !a.json || a.cut {
		return executor.Result{}
	}
	return executor.Answered(a.body)
}

// logText is the body for the run's log.
func (a answer) logText() string {
	text := string(a.body)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if a.cut {
		text += fmt.Sprintf("… answer cut after %d bytes; a cursor in it is not taken …\n", MaxAnswer)
	}
	return text
}
