package trigger

import (
	"net/http"
	"net/netip"
	"sync/atomic"
)

// AllowList lets only clients of some networks through to a handler, found out as the gateway finds them out. It is
// for handlers that have no such list of their own. It is safe for concurrent use.
type AllowList struct {
	clients clientResolver
	allow   atomic.Pointer[prefixes]
}

// NewAllowList makes a list of networks; an empty one lets everybody through. trusted are the proxies whose
// X-Forwarded-For is believed.
func NewAllowList(allow, trusted []netip.Prefix) (*AllowList, error) {
	proxies, err := newPrefixes("trusted_proxies", trusted)
	if err != nil {
		return nil, err
	}
	l := &AllowList{clients: clientResolver{trusted: proxies}}
	return l, l.Reload(allow)
}

// Reload exchanges the networks, for all requests from now on. If one is not valid, the old ones stay.
func (l *AllowList) Reload(allow []netip.Prefix) error {
	set, err := newPrefixes("allow", allow)
	if err != nil {
		return err
	}
	l.allow.Store(&set)
	return nil
}

// Wrap answers 403 to everybody else, before anything of the request is looked at.
func (l *AllowList) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, known := l.clients.resolve(r); !l.allow.Load().admits(client, known) {
			problemOf(errAddress).write(w, r.ContentLength != 0)
			return
		}
		next.ServeHTTP(w, r)
	})
}
