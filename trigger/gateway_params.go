package trigger

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

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

// messageID makes the message id out of the Idempotency-Key and what it belongs to. Without the scope, a key that two
// groups happen to use would make the second beat a duplicate of the first. Where there is no key a signed request has an id
// of its own; that of others is empty.
func (e *InvalidError) messageID(r *http.Request, who Principal, scope string) string {
	const name = headerIdempotency
	keys := r.Header.Values(name)
	switch {
	case len(keys) == 0 && who.request != "":
		return who.request
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
