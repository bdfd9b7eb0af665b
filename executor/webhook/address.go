package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/systole-run/systole/store"
)

// addresses decides which addresses requests may go to: public ones, and those in the allowed networks. It is asked for
// each connection, about the address that is being connected to, when names have been resolved: what a name meant
// earlier, or will mean next, has no say.
type addresses struct{ allow []netip.Prefix }

// special are networks with a meaning of their own (IANA's registries of special-purpose addresses, and what clouds answer
// their machines on). No public service is there.
var special = []struct {
	network netip.Prefix
	what    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address of a provider's own network"},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a metadata address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local or metadata address"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.0.0.0/24"), "a reserved address"},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "an address of a 6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for measurements"},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved or broadcast address"},
	{netip.MustParsePrefix("::/128"), "an unspecified address"},
	{netip.MustParsePrefix("::1/128"), "a loopback address"},
	{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address behind NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address behind NAT64"},
	{netip.MustParsePrefix("2001::/23"), "a reserved address"}, // with Teredo, which holds an IPv4 address
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation"},
	{netip.MustParsePrefix("2002::/16"), "an IPv4 address behind 6to4"},
	{netip.MustParsePrefix("3fff::/20"), "an address for documentation"},
	{netip.MustParsePrefix("fc00::/7"), "a private address"},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address"},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address"},
}

// publicIPv6 is all that has been given out for public use.
var publicIPv6 = netip.MustParsePrefix("2000::/3")

// blockedError is an address that no request may go to.
type blockedError struct {
	address netip.Addr
	what    string
}

const blockedAllowed = "public addresses, and those in the networks of executor.http.allow"

func (e *blockedError) Error() string {
	return "found " + e.found() + ", allowed are " + blockedAllowed
}

func (e *blockedError) found() string { return fmt.Sprintf("%s, %s", e.address, e.what) }

// check gives a *blockedError for an address that no request may go to. An IPv4 address that is written as an IPv6 one is
// that IPv4 address.
func (a addresses) check(address netip.Addr) error {
	address = address.Unmap().WithZone("")
	for _, network := range a.allow {
		if network.Contains(address) {
			return nil
		}
	}
	for _, known := range special {
		if known.network.Contains(address) {
			return &blockedError{address, known.what}
		}
	}
	if address.Is6() && !publicIPv6.Contains(address) {
		return &blockedError{address, "a reserved address"}
	}
	return nil
}

// control is the dialer's: it is called between the making of a socket and its connecting.
func (a addresses) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("check address: %w", err)
	}
	return a.check(target.Addr())
}

// CheckAddress says whether the flow's URL leads to an address that no request may go to, as far as the URL itself tells:
// what a name stands for shows only when a request is sent. The error is a store.InvalidError.
func CheckAddress(flow store.DataFlow, allow []netip.Prefix) error {
	if flow.HTTP == nil {
		return nil
	}
	target, err := url.Parse(flow.HTTP.URL)
	if err != nil {
		return nil // which Validate refuses
	}
	for _, address := range literal(target.Hostname()) {
		var blocked *blockedError
		if errors.As((addresses{allow}).check(address), &blocked) {
			return store.InvalidError{{Field: "http.url", Found: blocked.found(), Allowed: blockedAllowed}}
		}
	}
	return nil
}

// literal gives the addresses that a host means without being looked up.
func literal(host string) []netip.Addr {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{address}
	}
	return nil
}
