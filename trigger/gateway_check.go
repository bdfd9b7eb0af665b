package trigger

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// errNotFound answers a path that leads nowhere, however close it comes to one that does.
var errNotFound = NewProblem(http.StatusNotFound, "there is nothing at this path, which is taken as it was sent")

// checkRequest refuses what can be refused without looking at the content.
func checkRequest(r *http.Request, route route) error {
	header := r.Header
	switch {
	case route.methods == nil:
		return errNotFound
	case !slices.Contains(route.methods, r.Method):
		allowed := strings.Join(route.methods, ", ")
		return NewProblem(http.StatusMethodNotAllowed, "allowed here is "+allowed).with("Allow", allowed)
	case len(r.TransferEncoding) > 0:
		return errTransferEncoding
	case header.Values("Content-Encoding") != nil:
		return NewProblem(http.StatusUnsupportedMediaType, "the body is encoded; allowed is a body without Content-Encoding")
	case r.ContentLength != 0 && !isJSON(header.Values("Content-Type")):
		return NewProblem(http.StatusUnsupportedMediaType, "the body has another content type; allowed is application/json")
	}
	return nil
}

func isJSON(types []string) bool {
	if len(types) != 1 {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(types[0])
	charset, given := params["charset"]
	return err == nil && mediaType == "application/json" && (!given || strings.EqualFold(charset, "utf-8"))
}

// readBody reads a body of at most limit bytes to its end.
func readBody(w http.ResponseWriter, r *http.Request, c *call, limit int64) ([]byte, error) {
	tooLarge := NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", limit))
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, NewProblem(http.StatusRequestTimeout, "the body did not arrive in time").closing()
	case err != nil:
		return nil, NewProblem(http.StatusBadRequest, "the body ended early").closing()
	}
	c.bodyRead = true
	return data, nil
}

// query reads the query, of which only the named parameters may be there, each once. Values of others are not repeated
// in the error: somebody may have put a credential there.
func (e *InvalidError) query(r *http.Request, names ...string) url.Values {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		e.add("query", "broken escapes or a semicolon", "name=value pairs")
	}
	allowed := "no parameter"
	if len(names) > 0 {
		allowed = strings.Join(names, ", ")
	}
	for name := range values {
		switch {
		case !slices.Contains(names, name):
			e.add("query", "the parameter "+quote(name), allowed)
		case len(values[name]) > 1:
			e.add(name, fmt.Sprintf("%d times", len(values[name])), "once")
		}
	}
	return values
}

// wait reads how long the answer may be held back; 0 if nothing is said.
func (e *InvalidError) wait(values url.Values, longest time.Duration) time.Duration {
	if !values.Has("wait") {
		return 0
	}
	wait, err := time.ParseDuration(values.Get("wait"))
	if err != nil || wait <= 0 || wait > longest {
		e.add("wait", quote(values.Get("wait")), fmt.Sprintf("a duration above 0 and up to %s, such as 30s", longest))
		return 0
	}
	return wait
}

// maxIdempotencyKey leaves room in a message id for the names that go before it.
const maxIdempotencyKey = 128

// messageID makes the message id out of the Idempotency-Key and what it belongs to; empty if there is no key. Without
// the scope, a key that two groups happen to use would make the second beat a duplicate of the first.
func (e *InvalidError) messageID(r *http.Request, scope string) string {
	const name = "Idempotency-Key"
	keys := r.Header.Values(name)
	switch {
	case len(keys) == 0:
		return ""
	case len(keys) > 1:
		e.add(name, fmt.Sprintf("%d times", len(keys)), "once")
	case len(keys[0]) > maxIdempotencyKey || !ValidID(keys[0]):
		e.add(name, quote(keys[0]), fmt.Sprintf("1 to %d visible ASCII characters", maxIdempotencyKey))
	default:
		return scope + ":" + keys[0]
	}
	return ""
}

// name checks the name of a group or flow.
func (e *InvalidError) name(field, value string) {
	if !ValidName(value) {
		e.add(field, quote(value), nameAllowed)
	}
}
