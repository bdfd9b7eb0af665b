package trigger

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// errForeign refuses what the page of another site made a browser send.
var errForeign = errors.New("requests of other origins are refused")

// crossOrigin goes by Sec-Fetch-Site and Origin, which pages cannot forge and programs do not send.
var crossOrigin = http.NewCrossOriginProtection()

// ForeignPage reports whether a web page of another site made a browser send a request that changes something. A browser
// reaches what listens on loopback, and presents client certificates, whoever wrote the page. Where anybody may call (open), a
// page whose own name was made to point here (DNS rebinding) is foreign, too: the host must be an address or localhost.
//
// It looks at the headers alone; whether the method changes something is the caller's to know.
func ForeignPage(r *http.Request, open bool) bool {
	changing := *r
	changing.Method = http.MethodPost // with others nothing is checked
	return crossOrigin.Check(&changing) != nil || open && r.Header.Get("Origin") != "" && !localHost(r.Host)
}

func localHost(host string) bool {
	name := strings.TrimSuffix((&url.URL{Host: host}).Hostname(), ".")
	_, err := netip.ParseAddr(name)
	return err == nil || name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// LocalOnly lets through to a handler only what was sent to an address or to localhost, and answers everything else 403. It is
// for an API on loopback that anybody may call: a page whose own name was made to point there (DNS rebinding) could
// else read answers as its own. refused, which may be nil, is told of those that are not let through.
func LocalOnly(next http.Handler, refused *Refusals) http.Handler {
	if refused == nil {
		refused = NewRefusals("other", nil, nil)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if localHost(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		refused.Refused(r.Context(), r, Refusal{Client: Client(r), Status: http.StatusForbidden, Err: errForeign})
		NewProblem(http.StatusForbidden, "allowed as Host is an address or localhost, since anybody may call; with auth.mode: none, in so many words, any is").
			Write(w, r.ContentLength != 0)
	})
}
