package trigger

import (
	"net/http"
	"net/url"
	"strings"
)

// routes are the paths of the gateway, callback only where it takes callbacks. They are compared with the path as it was sent: nothing is cleaned or
// unescaped, so that a path has one spelling and no other one can get around a rule of a proxy in front.
type routes struct{ heartbeat, run, callback string }

// route is what a path leads to.
type route struct {
	name    string // for logs and metrics: heartbeat, run, callback or other
	pattern string // for traces; empty for other
	scope   string // what a credential needs
	methods []string
	group   string // as in the path; empty where it has none
	flow    string
	run     string // of a callback, which is let in by a token of its own
	serve   func(*Gateway, http.ResponseWriter, *http.Request, *call) error
}

// match finds the route of a path, never failing: what leads nowhere is the route "other".
func (p routes) match(path string) route {
	if path == p.heartbeat {
		return p.heartbeatRoute(p.heartbeat, "")
	}
	if group, ok := segments(path, p.heartbeat, 1); ok {
		return p.heartbeatRoute(p.heartbeat+"/{group}", group[0])
	}
	if names, ok := segments(path, p.run, 2); ok {
		return route{
			name: "run", pattern: p.run + "/{group}/{flow}", scope: ScopeRun, methods: []string{http.MethodPost},
			group: names[0], flow: names[1], serve: (*Gateway).runNow,
		}
	}
	if run, ok := segments(path, p.callback, 1); ok && p.callback != "" {
		return route{
			name: "callback", pattern: p.callback + "/{run}", methods: []string{http.MethodPost},
			run: run[0], serve: (*Gateway).callback,
		}
	}
	return route{name: "other", serve: func(*Gateway, http.ResponseWriter, *http.Request, *call) error { return errNotFound }}
}

func (p routes) heartbeatRoute(pattern, group string) route {
	return route{
		name: "heartbeat", pattern: pattern, scope: ScopeBeat, methods: []string{http.MethodGet, http.MethodPost},
		group: group, serve: (*Gateway).heartbeat,
	}
}

// own reports whether the path lies at or below one of the routes, clean or not.
func (p routes) own(path string) bool {
	for _, root := range []string{p.heartbeat, p.run, p.callback} {
		if root != "" && (path == root || strings.HasPrefix(path, root+"/")) {
			return true
		}
	}
	return false
}

// segments gives the n segments of the path below root, as they were sent. A path with a segment that is empty, dotted or another
// spelling has none.
func segments(path, root string, n int) ([]string, bool) {
	rest, below := strings.CutPrefix(path, root+"/")
	names := strings.Split(rest, "/")
	if !below || len(names) != n {
		return nil, false
	}
	for _, name := range names {
		if name == "" || name == "." || name == ".." || respelled(name) {
			return nil, false
		}
	}
	return names, true
}

// respelled reports whether a segment escapes what need not be escaped, or a slash. What has to be escaped leads to the
// check of names, none of which may hold it.
func respelled(segment string) bool {
	if !strings.Contains(segment, "%") {
		return false
	}
	plain, err := url.PathUnescape(segment)
	return err != nil || strings.Contains(plain, "/") || url.PathEscape(plain) != segment
}
