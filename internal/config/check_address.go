package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const addressAllowed = "host:port, such as 127.0.0.1:8080 or :8080"

// address reports what cannot be listened on.
func (l *loader) address(key, address, alternative string) {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || strconv.FormatUint(number, 10) != port || strings.ContainsAny(host, " /@") {
		l.bad(key, quote(address), addressAllowed+alternative)
	}
}

// loopback reports whether only this machine can reach an address. A host name other than localhost may mean anything.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// addresses parses the addresses of a setting and reports those that are none, or of another scheme. Addresses whose
// reference was not resolved, since no role here needs them, are not looked at.
func (l *loader) addresses(key string, from URLs, schemes ...string) []*url.URL {
	var good []*url.URL
	for _, raw := range from.Reveal() {
		parsed, err := url.Parse(raw)
		allowed := "an address of the form " + strings.Join(schemes, "://… or ") + "://…"
		switch {
		case err != nil: // the error quotes the address, which may hold a password
			l.bad(key, quote(hideUser(withoutQuery(raw)))+", which cannot be parsed", allowed+"; special characters in user and password are percent-encoded")
		case !slices.Contains(schemes, parsed.Scheme):
			l.bad(key, quote(hideUser(withoutQuery(raw))), allowed)
		case parsed.Hostname() == "" || !validPort(parsed.Port()):
			l.bad(key, quote(hideUser(withoutQuery(raw))), allowed+" with a host and, if any, a port of 1 to 65535")
		case parsed.RawQuery != "" || parsed.Fragment != "":
			l.bad(key, "an address with ? or # in it", allowed+" without parameters; each setting has a key of its own")
		default:
			good = append(good, parsed)
		}
	}
	return good
}

func withoutQuery(raw string) string {
	raw, _, _ = strings.Cut(raw, "?")
	return raw
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0
}
