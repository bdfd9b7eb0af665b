package trigger

import (
	"errors"
	"fmt"
	"net/netip"
)

// errAddress refuses a client because of where it is.
var errAddress = errors.New("address is not allowed")

// prefixes is a set of networks.
type prefixes []netip.Prefix

// newPrefixes normalizes networks: bits beyond the length are cleared, and IPv4 networks written as IPv6 ones
// (::ffff:10.0.0.0/104) become IPv4. The zero Prefix and an IPv6 network that holds all of IPv4 among others are
// errors that name the field.
func newPrefixes(field string, networks []netip.Prefix) (prefixes, error) {
	var invalid InvalidError
	set := make(prefixes, 0, len(networks))
	for i, network := range networks {
		plain, ok := plainPrefix(network)
		if !ok {
			invalid.add(fmt.Sprintf("%s[%d]", field, i), network.String(), "a network such as 10.0.0.0/8 or 2001:db8::/32")
			continue
		}
		set = append(set, plain)
	}
	return set, invalid.orNil()
}

func plainPrefix(network netip.Prefix) (netip.Prefix, bool) {
	const mapped = 96 // the bits before the IPv4 part
	switch {
	case !network.IsValid():
		return network, false
	case !network.Addr().Is4In6():
		return network.Masked(), true
	case network.Bits() < mapped:
		return network, false
	}
	return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mapped).Masked(), true
}

// contain reports whether one of the networks holds the address, which must be plain.
func (p prefixes) contain(addr netip.Addr) bool {
	for _, network := range p {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// admits reads the set as an allow list: an empty one lets everybody in, any other one nobody whose address is unknown.
func (p prefixes) admits(addr netip.Addr, known bool) bool {
	return len(p) == 0 || known && p.contain(addr)
}
