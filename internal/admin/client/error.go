package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/systole-run/systole/internal/admin/wire"
)

// Error is an answer of the server that says no. Its fields are those of the problem that was sent.
type Error struct {
	Method, Path string
	wire.Problem
}

// Error names everything that the server found wrong, one to a line.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s: %d %s", e.Method, e.Path, e.Status, e.Title)
	if e.Detail != "" {
		text.WriteString(": " + e.Detail)
	}
	for _, field := range e.Errors {
		text.WriteString("\n  ")
		if field.Field != "" {
			text.WriteString(field.Field + ": ")
		}
		fmt.Fprintf(&text, "found %s, allowed is %s", field.Found, field.Allowed)
	}
	return text.String()
}

// NotFound reports whether what was asked for does not exist.
func (e *Error) NotFound() bool { return e.Status == http.StatusNotFound }

// refused makes an Error of an answer. Something in between, such as a proxy, may have sent it: then it is no problem
// of ours, and its beginning is shown.
func refused(method, path string, response *http.Response, body []byte) *Error {
	refusal := &Error{Method: method, Path: path}
	kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if kind != "application/problem+json" || json.Unmarshal(body, &refusal.Problem) != nil {
		const longest = 200
		refusal.Problem = wire.Problem{Detail: fmt.Sprintf("%q", body[:min(len(body), longest)])}
	}
	refusal.Status = response.StatusCode
	refusal.Title = http.StatusText(response.StatusCode)
	return refusal
}
