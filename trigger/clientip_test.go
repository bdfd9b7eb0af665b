package trigger

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func networks(t testing.TB, texts ...string) prefixes {
	t.Helper()
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	set, err := newPrefixes("networks", list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestClientAddressIsTheFirstThatNoTrustedProxyVouchesFor(t *testing.T) {
	t.Parallel()
	resolver := clientResolver{trusted: networks(t, "10.0.0.0/8", "::ffff:192.168.0.0/112", "fd00::/8")}
	tests := map[string]struct {
		peer      string
		forwarded []string
		want      string // empty: not known
	}{
		"a peer that is no proxy":                       {"1.2.3.4:5", nil, "1.2.3.4"},
		"a peer that is no proxy forges the header":     {"1.2.3.4:5", []string{"10.0.0.1"}, "1.2.3.4"},
		"a proxy's own request":                         {"10.0.0.1:5", nil, "10.0.0.1"},
		"an empty header":                               {"10.0.0.1:5", []string{""}, "10.0.0.1"},
		"one proxy":                                     {"10.0.0.1:5", []string{"1.2.3.4"}, "1.2.3.4"},
		"a client forges entries on the left":           {"10.0.0.1:5", []string{"10.9.9.9, 127.0.0.1, 1.2.3.4"}, "1.2.3.4"},
		"a client forges a line of its own":             {"10.0.0.1:5", []string{"127.0.0.1", "1.2.3.4"}, "1.2.3.4"},
		"garbage on the left is never reached":          {"10.0.0.1:5", []string{"<script>,,;, 1.2.3.4"}, "1.2.3.4"},
		"a chain of proxies":                            {"10.0.0.1:5", []string{"6.6.6.6, 1.2.3.4, 10.0.0.3", "10.0.0.2"}, "1.2.3.4"},
		"only proxies":                                  {"10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"garbage from a proxy":                          {"10.0.0.1:5", []string{"1.2.3.4, unknown"}, ""},
		"an entry with a port":                          {"10.0.0.1:5", []string{"1.2.3.4:999"}, "1.2.3.4"},
		"an IPv6 entry in brackets with a port":         {"10.0.0.1:5", []string{"[2001:db8::1]:999"}, "2001:db8::1"},
		"an IPv4-mapped peer is the proxy it maps":      {"[::ffff:10.0.0.1]:5", []string{"1.2.3.4"}, "1.2.3.4"},
		"an IPv4-mapped entry is unmapped":              {"10.0.0.1:5", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		"a network written as IPv4-mapped":              {"192.168.0.7:5", []string{"1.2.3.4"}, "1.2.3.4"},
		"an IPv6 proxy with a zone":                     {"[fd00::1%eth0]:5", []string{"1.2.3.4"}, "1.2.3.4"},
		"a unix socket":                                 {"@", []string{"1.2.3.4"}, ""},
		"an IPv6 address that embeds a trusted network": {"[64:ff9b::a00:1]:5", []string{"1.2.3.4"}, "64:ff9b::a00:1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := &http.Request{RemoteAddr: test.peer, Header: http.Header{
				"X-Forwarded-For": test.forwarded, "Forwarded": {"for=9.9.9.9"}, "X-Real-Ip": {"9.9.9.9"},
			}}
			got, known := resolver.resolve(request)
			if known != (test.want != "") || known && got.String() != test.want {
				t.Errorf("got %v (known: %v), want %q", got, known, test.want)
			}
		})
	}
}

// Whatever a client writes in front, what the trusted proxy appended decides.
func FuzzClientIP(f *testing.F) {
	f.Add("1.2.3.4:5", "10.0.0.1", "1.2.3.4")
	f.Add("10.0.0.1:5", "10.0.0.2, 127.0.0.1", "1.2.3.4")
	f.Add("[::1]:5", "::ffff:10.0.0.1,,%", "[2001:db8::1]:7")
	resolver := clientResolver{trusted: networks(f, "10.0.0.0/8", "fd00::/8", "::1/128")}
	f.Fuzz(func(t *testing.T, remote, forged, appended string) {
		peer, known := parseClient(remote)
		got, ok := resolver.resolve(&http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {forged, appended}}})
		if ok && (got.Is4In6() || got.Zone() != "" || !got.IsValid()) {
			t.Fatalf("%v is not a plain address", got)
		}
		if !known && ok {
			t.Fatalf("the peer %q is unknown, and became %v", remote, got)
		}
		if known && !resolver.trusted.contain(peer) && got != peer {
			t.Fatalf("the untrusted peer %v passed for %v", peer, got)
		}
		client, written := parseClient(strings.TrimSpace(appended))
		if known && resolver.trusted.contain(peer) && written && !resolver.trusted.contain(client) && got != client {
			t.Fatalf("with %q in front of it, %v passed for %v", forged, client, got)
		}
	})
}
