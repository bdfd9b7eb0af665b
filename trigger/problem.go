package trigger

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Problem is an answer that says no, as RFC 9457 has it: application/problem+json.
type Problem struct {
	Type   string       `json:"type"`             // always "about:blank": the status says what kind it is
	Title  string       `json:"title"`            // the status in words
	Status int          `json:"status"`           // the HTTP status
	Detail string       `json:"detail,omitempty"` // what was wrong, for the one who sent the request
	Errors []FieldError `json:"errors,omitempty"` // each thing that was wrong, all at once

	header http.Header // what else belongs to the answer, such as Retry-After
	hangUp bool        // whether the connection must not be used again
}

// NewProblem makes a problem of a status.
func NewProblem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func (p *Problem) Error() string { return strconv.Itoa(p.Status) + " " + p.Title + ": " + p.Detail }

// with adds a header to the answer.
func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(name, value)
	return p
}

// RetryAfter tells the client when to come back, in whole seconds as HTTP wants them.
func (p *Problem) RetryAfter(wait time.Duration) *Problem {
	seconds := int64((wait + time.Second - 1) / time.Second)
	return p.with("Retry-After", strconv.FormatInt(max(seconds, 1), 10))
}

// closing makes the answer the last one on its connection.
func (p *Problem) closing() *Problem {
	p.hangUp = true
	return p
}

// retryUnavailable is when to try again while JetStream does not acknowledge.
const retryUnavailable = 2 * time.Second

// problemOf is the one table from errors to HTTP statuses. What it does not know is a 500 that tells nothing of its
// cause to the outside.
func problemOf(err error) *Problem {
	var problem *Problem
	var invalid InvalidError
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &invalid):
		problem = NewProblem(http.StatusBadRequest, "the request is invalid; errors lists every fault")
		problem.Errors = invalid
		return problem
	case errors.Is(err, errAddress):
		return NewProblem(http.StatusForbidden, "this address is not allowed")
	case errors.Is(err, errForeign):
		return NewProblem(http.StatusForbidden, errForeign.Error())
	case errors.Is(err, ErrNoCredential):
		return NewProblem(http.StatusUnauthorized, ErrNoCredential.Error()).with("WWW-Authenticate", challenge)
	case errors.Is(err, ErrBadCredential):
		return NewProblem(http.StatusUnauthorized, ErrBadCredential.Error()).with("WWW-Authenticate", challenge+`, error="invalid_token"`)
	case errors.Is(err, ErrUndecided):
		return NewProblem(http.StatusServiceUnavailable, ErrUndecided.Error()).RetryAfter(keysPause)
	case errors.Is(err, ErrForbidden):
		return NewProblem(http.StatusForbidden, ErrForbidden.Error()).with("WWW-Authenticate", challenge+`, error="insufficient_scope"`)
	case errors.Is(err, errNobody):
		return NewProblem(http.StatusGone, errNobody.Error())
	case errors.Is(err, ErrUnavailable):
		return NewProblem(http.StatusServiceUnavailable, "the request may not have been accepted; send it again").RetryAfter(retryUnavailable)
	}
	return NewProblem(http.StatusInternalServerError, "the cause is in the log of the server")
}

// Write sends the problem. An answer that comes before the body was read hangs up, since the rest of the connection
// could only be used after waiting for a body that nobody wants.
func (p *Problem) Write(w http.ResponseWriter, bodyUnread bool) {
	header := w.Header()
	for name, values := range p.header {
		header[name] = values
	}
	if p.hangUp || bodyUnread {
		header.Set("Connection", "close")
	}
	writeJSON(w, "application/problem+json", p.Status, p)
}

// writeJSON sends an answer that nobody may keep.
func writeJSON(w http.ResponseWriter, contentType string, status int, content any) {
	body, err := json.Marshal(content)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)+1))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A client that has gone away cannot be told anything.
	_, _ = w.Write(append(body, '\n'))
}
