package store

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// HTTPSpec sends one request per run.
type HTTPSpec struct {
	URL    string `json:"url"`
	Method string `json:"method,omitempty" jsonschema:"default=POST"`
	// Headers are added to the request: values, or references to secrets.
	Headers map[string]string `json:"headers,omitempty"`
	// Bearer is a reference to the secret that is sent as "Authorization: Bearer …".
	Bearer string `json:"bearer,omitempty"`
	// Sign are references to the secrets that the request is signed with (Standard Webhooks): one, or the old and the
	// new one while they are exchanged. A secret is whsec_ and the key in base64.
	Sign []string `json:"sign,omitempty"`
	// TLS is what the connection presents and trusts, beyond the system's certificates.
	TLS *HTTPTLS `json:"tls,omitempty"`
	// Callback lets the receiver answer 202 and report the end of the run later, within the flow's timeout.
	Callback bool `json:"callback,omitempty"`
}

// HTTPTLS are references to secrets in PEM.
type HTTPTLS struct {
	Cert string `json:"cert,omitempty"` // the client's certificate, with those between it and its root
	Key  string `json:"key,omitempty"`  // of Cert
	CA   string `json:"ca,omitempty"`   // roots to trust in place of the system's
}

// maxSigns bounds the secrets of one request: two while they are exchanged, and one to spare.
const maxSigns = 3

// headerPattern is an HTTP field name: a token of RFC 9110, section 5.6.2.
var headerPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// reservedHeaders are set by the runtime or by the transport; a flow that sets them would forge or break a request.
var reservedHeaders = []string{
	"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer",
	"webhook-id", "webhook-timestamp", "webhook-signature", "traceparent", "tracestate",
}

func (s HTTPSpec) validate(invalid *InvalidError) {
	target, err := url.Parse(s.URL)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") || target.Fragment != "" {
		invalid.add("http.url", s.URL, "an absolute http or https URL without a fragment")
	} else if target.User != nil {
		invalid.add("http.url", target.Redacted(), "a URL without a user or password in it")
	}
	if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, s.Method) {
		invalid.add("http.method", s.Method, "GET, POST, PUT, PATCH or DELETE")
	}
	if s.Callback && s.Method == "GET" {
		invalid.add("http.callback", "a callback for a GET", "POST, PUT, PATCH or DELETE: the body says where to report")
	}
	s.validateHeaders(invalid)
	s.validateSecrets(invalid, target)
}

func (s HTTPSpec) validateHeaders(invalid *InvalidError) {
	for _, name := range sortedKeys(s.Headers) {
		field := "http.headers." + name
		if !headerPattern.MatchString(name) || slices.Contains(reservedHeaders, strings.ToLower(name)) {
			invalid.add(field, name, "a header name that the runtime does not set itself")
		}
		if s.Bearer != "" && strings.EqualFold(name, "Authorization") {
			invalid.add(field, name, "either this header or http.bearer")
		}
		validateSetting(invalid, field, s.Headers[name])
	}
}

func (s HTTPSpec) validateSecrets(invalid *InvalidError, target *url.URL) {
	if s.Bearer != "" {
		validateReference(invalid, "http.bearer", s.Bearer)
	}
	for i, reference := range s.Sign {
		validateReference(invalid, fmt.Sprintf("http.sign[%d]", i), reference)
	}
	if len(s.Sign) > maxSigns {
		invalid.add("http.sign", fmt.Sprint(len(s.Sign), " secrets"), fmt.Sprintf("up to %d", maxSigns))
	}
	if s.TLS == nil {
		return
	}
	if target != nil && target.Scheme == "http" {
		invalid.add("http.tls", "TLS settings for an http URL", "an https URL, or leaving them out")
	}
	if (s.TLS.Cert == "") != (s.TLS.Key == "") {
		invalid.add("http.tls", "one of cert and key", "both or neither")
	}
	for field, reference := range map[string]string{"http.tls.ca": s.TLS.CA, "http.tls.cert": s.TLS.Cert, "http.tls.key": s.TLS.Key} {
		if reference != "" {
			validateReference(invalid, field, reference)
		}
	}
}

// secretRefs notes the settings that may be references.
func (s HTTPSpec) secretRefs(note func(field, setting string)) {
	for name, value := range s.Headers {
		note("http.headers."+name, value)
	}
	note("http.bearer", s.Bearer)
	for i, reference := range s.Sign {
		note(fmt.Sprintf("http.sign[%d]", i), reference)
	}
	if s.TLS != nil {
		note("http.tls.ca", s.TLS.CA)
		note("http.tls.cert", s.TLS.Cert)
		note("http.tls.key", s.TLS.Key)
	}
}
