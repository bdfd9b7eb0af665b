package trigger

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
)

// errNotFound answers a path that leads nowhere, however close it comes to one that does.
var errNotFound = NewProblem(http.StatusNotFound, "there is nothing at this path; paths are neither cleaned nor redirected")

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
	var refused *RefusedError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case errors.As(err, &refused):
		return nil, refused // the body is not the one that was signed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, NewProblem(http.StatusRequestTimeout, "the body did not arrive in time").closing()
	case err != nil:
		return nil, NewProblem(http.StatusBadRequest, "the body ended early").closing()
	}
	c.bodyRead = true
	return data, nil
}
