package trigger

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientResolver finds out which address a request comes from.
//
// Of the headers in which proxies tell it, X-Forwarded-For alone is read; Forwarded (RFC 7239) is ignored, because
// with two of them in use a proxy that rewrites one and passes on the other would let the client choose. The walk
// starts at the peer, which cannot be forged, and goes from right to left for as long as the one who wrote the entry is
// a trusted proxy. So no entry counts that somebody else may have written.
type clientResolver struct {
	trusted prefixes
}

// resolve gives the client's address, without zone and with IPv4 in its own form. ok is false where it cannot be known:
// the peer has no IP address, or a trusted proxy wrote something that is none.
func (c clientResolver) resolve(r *http.Request) (client netip.Addr, ok bool) {
	peer, ok := parseClient(r.RemoteAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return c.walk(peer, r.Header.Values("X-Forwarded-For"))
}

// walk goes through the entries of all X-Forwarded-For lines, which together are one list, from the right.
func (c clientResolver) walk(client netip.Addr, lines []string) (netip.Addr, bool) {
	list := strings.Join(lines, ",")
	for c.trusted.contain(client) && strings.TrimSpace(list) != "" {
		var entry string
		if at := strings.LastIndexByte(list, ','); at >= 0 {
			list, entry = list[:at], list[at+1:]
		} else {
			list, entry = "", list
		}
		var ok bool
		if client, ok = parseClient(strings.TrimSpace(entry)); !ok {
			return netip.Addr{}, false
		}
	}
	return client, true
}

// parseClient reads an address with or without a port, as some proxies write it.
func parseClient(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return plainAddr(addr), true
	}
	if pair, err := netip.ParseAddrPort(s); err == nil {
		return plainAddr(pair.Addr()), true
	}
	return netip.Addr{}, false
}

// plainAddr makes addresses that mean the same host equal: ::ffff:10.0.0.1 is 10.0.0.1, and zones are the server's own
// affair.
func plainAddr(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
