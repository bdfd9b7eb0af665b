package trigger

import (
	"bytes"
	"encoding/base64"
	"hash"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Headers of a signed request.
const (
	headerSignature      = "Signature"
	headerSignatureInput = "Signature-Input"
	headerDigest         = "Content-Digest"
	headerIdempotency    = "Idempotency-Key"
)

// signable are the components that a signature may cover. The first three it must.
var signable = []string{"@method", "@path", "@query", "content-digest", "content-type", "idempotency-key", "@authority"}

// signature is what the headers of a signed request say.
type signature struct {
	components []string
	params     string // the list of components and the parameters as they were sent, which is signed, too
	keyID      string
	created    time.Time
	expires    time.Time // zero: never
	value      []byte
	digest     []byte // of the body, where it is covered
}

// isSigned reports whether a request claims to be signed.
func isSigned(header http.Header) bool {
	return header.Values(headerSignature) != nil || header.Values(headerSignatureInput) != nil
}

// The headers are taken in one spelling only, without optional blanks and with one signature, so that what is signed is
// what was sent and nothing has to be spelled anew.
var (
	inputPattern     = regexp.MustCompile(`^([a-z][a-z0-9_.-]{0,31})=(\(("[a-z@-]+"(?: "[a-z@-]+")*)\)((?:;[a-z]+=(?:[0-9]{1,12}|"[ !#-\[\]-~]{0,128}"))*))$`)
	paramPattern     = regexp.MustCompile(`;([a-z]+)=([0-9]+|"[^"]*")`)
	signaturePattern = regexp.MustCompile(`^([a-z][a-z0-9_.-]{0,31})=:([A-Za-z0-9+/]{43}=):$`)
	digestPattern    = regexp.MustCompile(`^sha-256=:([A-Za-z0-9+/]{43}=):$`)
)

// parseSignature reads the one signature of a request. ok is false for whatever is not of the profile.
func parseSignature(header http.Header) (sig signature, ok bool) {
	input := match(inputPattern, header.Values(headerSignatureInput))
	value := match(signaturePattern, header.Values(headerSignature))
	if input == nil || value == nil || input[1] != value[1] {
		return signature{}, false
	}
	sig.params = input[2]
	for _, quoted := range strings.Split(input[3], " ") {
		component := strings.Trim(quoted, `"`)
		if !slices.Contains(signable, component) || slices.Contains(sig.components, component) {
			return signature{}, false
		}
		sig.components = append(sig.components, component)
	}
	if sig.value, ok = decodeBase64(value[2]); !ok || !sig.readParams(input[4]) {
		return signature{}, false
	}
	if sig.covers("content-digest") {
		digest := match(digestPattern, header.Values(headerDigest))
		if digest == nil {
			return signature{}, false
		}
		sig.digest, ok = decodeBase64(digest[1])
	}
	return sig, ok
}

// match applies a pattern to a header that must be there once.
func match(pattern *regexp.Regexp, values []string) []string {
	if len(values) != 1 {
		return nil
	}
	return pattern.FindStringSubmatch(values[0])
}

// decodeBase64 refuses a second spelling of the same bytes.
func decodeBase64(text string) ([]byte, bool) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	return data, err == nil
}

// readParams reads the parameters, each of which may be there once. created, keyid and alg must be there.
func (s *signature) readParams(text string) bool {
	seen := map[string]string{}
	for _, param := range paramPattern.FindAllStringSubmatch(text, -1) {
		name, value := param[1], param[2]
		if _, twice := seen[name]; twice {
			return false
		}
		seen[name] = value
		number, err := strconv.ParseInt(value, 10, 64)
		isNumber := name == "created" || name == "expires"
		if isNumber != (err == nil) {
			return false
		}
		switch name {
		case "created":
			s.created = time.Unix(number, 0)
		case "expires":
			s.expires = time.Unix(number, 0)
		case "keyid":
			s.keyID = strings.Trim(value, `"`)
		case "alg", "nonce", "tag":
		default:
			return false
		}
	}
	return seen["created"] != "" && s.keyID != "" && seen["alg"] == `"hmac-sha256"`
}

func (s *signature) covers(component string) bool { return slices.Contains(s.components, component) }

// coversEnough reports whether the signature covers all that decides what the request does.
func (s *signature) coversEnough(r *http.Request) bool {
	return s.covers("@method") && s.covers("@path") && s.covers("@query") &&
		(r.ContentLength == 0 || s.covers("content-digest")) &&
		(r.Header.Values(headerIdempotency) == nil || s.covers("idempotency-key"))
}

// base makes the text that was signed (RFC 9421, section 2.5). Method, path and query are taken as they were sent.
func (s *signature) base(r *http.Request) (string, bool) {
	var base strings.Builder
	for _, component := range s.components {
		var value string
		switch component {
		case "@method":
			value = r.Method
		case "@path":
			value = r.URL.EscapedPath()
		case "@query":
			value = "?" + r.URL.RawQuery
		case "@authority":
			value = strings.ToLower(r.Host)
		default:
			values := r.Header.Values(component)
			if len(values) != 1 {
				return "", false
			}
			value = strings.TrimSpace(values[0])
		}
		base.WriteString(`"` + component + `": ` + value + "\n")
	}
	base.WriteString(`"@signature-params": ` + s.params)
	return base.String(), true
}

// digestBody is a body that ends with an error where it is not the one that was signed.
type digestBody struct {
	io.ReadCloser
	sum     hash.Hash
	want    []byte
	refused *RefusedError
}

// Read implements io.Reader.
func (b *digestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sum.Write(p[:n])
	if err == io.EOF && !bytes.Equal(b.sum.Sum(nil), b.want) {
		return n, b.refused
	}
	return n, err
}
