package trigger

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const (
	minHeaderBytes = 1 << 10
	maxHeaderLines = 100
)

// What the screen says about heads that it refuses. All of these end the connection: where the next request begins is
// not known for sure.
var (
	errTransferEncoding = NewProblem(http.StatusLengthRequired, "the request has a Transfer-Encoding; allowed is a body with Content-Length").closing()
	errHeadTooLarge     = NewProblem(http.StatusRequestHeaderFieldsTooLarge, "the request line and headers are too long, or too many").closing()
	errVersion          = NewProblem(http.StatusHTTPVersionNotSupported, "allowed is HTTP/1.1 or HTTP/1.0").closing()
	errConnect          = NewProblem(http.StatusNotImplemented, "this is no proxy").closing()
	errExpect           = NewProblem(http.StatusExpectationFailed, "allowed is Expect: 100-continue").closing()
)

func malformed(detail string) *Problem { return NewProblem(http.StatusBadRequest, detail).closing() }

// headSize gives the length of the head that data starts with, blank line included. Lines may end in a bare line feed
// here, as net/http has it, so that both see the same end; checkHead then refuses such a head.
func headSize(data []byte) (size int, done bool) {
	for {
		at := bytes.IndexByte(data[size:], '\n')
		if at < 0 {
			return size, false
		}
		line := data[size : size+at]
		size += at + 1
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return size, true
		}
	}
}

// checkHead decides about a whole head, and gives the length of the body that follows it. It is stricter than net/http,
// which then finds nothing more to refuse.
func checkHead(head []byte) (length int64, refusal *Problem) {
	lines := strings.Split(string(head), "\r\n")
	for _, line := range lines {
		if strings.ContainsAny(line, "\r\n\x00") {
			return 0, malformed("a line ends in something else than CR LF")
		}
	}
	if len(lines) < 3 {
		return 0, malformed("there is no request line")
	}
	version, refusal := checkRequestLine(lines[0])
	if refusal != nil {
		return 0, refusal
	}
	fields := lines[1 : len(lines)-2] // what follows is the blank line
	if len(fields) > maxHeaderLines {
		return 0, errHeadTooLarge
	}
	return checkFields(fields, version)
}

func checkRequestLine(line string) (version string, refusal *Problem) {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !httpguts.ValidHeaderFieldName(parts[0]) {
		return "", malformed("the request line is not METHOD PATH VERSION")
	}
	target, version := parts[1], parts[2]
	switch {
	case !strings.HasPrefix(version, "HTTP/"):
		return "", malformed("the request line is not METHOD PATH VERSION")
	case version != "HTTP/1.1" && version != "HTTP/1.0":
		return "", errVersion
	case parts[0] == http.MethodConnect:
		return "", errConnect
	case strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", malformed("the path holds characters that must be escaped")
	}
	if _, err := url.ParseRequestURI(target); err != nil {
		return "", malformed("the path is malformed")
	}
	return version, nil
}

// checkFields looks at the header lines. Transfer-Encoding is refused before anything else that may be wrong with them.
func checkFields(fields []string, version string) (length int64, refusal *Problem) {
	var hosts, lengths []string
	for _, field := range fields {
		name, value, found := strings.Cut(field, ":")
		value = strings.Trim(value, " \t")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "transfer-encoding":
			return 0, errTransferEncoding
		case "content-length":
			lengths = append(lengths, value)
		case "host":
			hosts = append(hosts, value)
		case "expect":
			if !strings.EqualFold(value, "100-continue") {
				refusal = errExpect
			}
		}
		if !found || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			refusal = malformed("a header line is not NAME: VALUE")
		}
	}
	if refusal != nil {
		return 0, refusal
	}
	if len(hosts) > 1 || len(hosts) == 0 && version == "HTTP/1.1" || len(hosts) == 1 && !httpguts.ValidHostHeader(hosts[0]) {
		return 0, malformed("there is not exactly one valid Host")
	}
	return bodyLength(lengths)
}

// bodyLength reads Content-Length, which is digits and nothing else, once.
func bodyLength(lengths []string) (int64, *Problem) {
	if len(lengths) == 0 {
		return 0, nil
	}
	const digits = 18 // that surely fit into an int64
	value := lengths[0]
	if len(lengths) > 1 || len(value) == 0 || len(value) > digits || strings.Trim(value, "0123456789") != "" {
		return 0, malformed("there is not exactly one Content-Length of digits")
	}
	length, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, malformed("the Content-Length is no number")
	}
	return length, nil
}
