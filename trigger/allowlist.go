package trigger

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
)

// AllowList lets only clients of some networks through to a handler, found out as the gateway finds them out. It is
// for handlers that have no such list of their own. It is safe for concurrent use.
type AllowList struct {
	clients clientResolver
	allow   atomic.Pointer[prefixes]
	refused *Refusals
}

// NewAllowList makes a list of networks; an empty one lets everybody through. trusted are the proxies whose
// X-Forwarded-For is believed. refused, which may be nil, is told of those that are not let through.
func NewAllowList(allow, trusted []netip.Prefix, refused *Refusals) (*AllowList, error) {
	proxies, err := newPrefixes("trusted_proxies", trusted)
	if err != nil {
		return nil, err
	}
	if refused == nil {
		refused = NewRefusals("other", nil, nil)
	}
	l := &AllowList{clients: clientResolver{trusted: proxies}, refused: refused}
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

// Wrap answers 403 to everybody else, before anything of the request is looked at. The handler finds the client in Client.
func (l *AllowList) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, known := l.clients.resolve(r)
		if !l.allow.Load().admits(client, known) {
			l.refused.Refused(r.Context(), r, Refusal{Client: client, Status: http.StatusForbidden, Err: errAddress})
			problemOf(errAddress).Write(w, r.ContentLength != 0)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, client)))
	})
}

type clientKey struct{}

// Client gives the address of the client of a request that came through an AllowList, else that of the peer; the zero
// value where it is not known.
func Client(r *http.Request) netip.Addr {
	if client, ok := r.Context().Value(clientKey{}).(netip.Addr); ok {
		return client
	}
	peer, _ := parseClient(r.RemoteAddr)
	return peer
}
