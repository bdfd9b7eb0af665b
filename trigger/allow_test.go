package trigger

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// R5.2
func TestAllowListAdmitsByNetwork(t *testing.T) {
	t.Parallel()
	list := networks(t, "10.1.2.3/8", "2001:db8::/32", "::ffff:172.16.0.0/108")
	for text, want := range map[string]bool{
		"10.255.0.1": true, "11.0.0.1": false, "::ffff:10.0.0.1": true, "2001:db8::1": true, "2001:db9::1": false,
		"172.31.0.1": true, "172.32.0.1": false, "2001:db8::1%eth0": true,
	} {
		if got := list.admits(plainAddr(netip.MustParseAddr(text)), true); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
	if list.admits(netip.Addr{}, false) {
		t.Error("an address that is not known passed an allow list")
	}
	if !networks(t).admits(netip.Addr{}, false) {
		t.Error("an empty allow list kept somebody out")
	}
}

func TestNetworksThatSayNothingClearAreRefusedByName(t *testing.T) {
	t.Parallel()
	_, err := newPrefixes("allow", []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:0:0/90")})
	var invalid InvalidError
	if !errors.As(err, &invalid) || len(invalid) != 2 || invalid[0].Field != "allow[0]" || invalid[1].Field != "allow[2]" {
		t.Fatalf("got %v, want allow[0] and allow[2]", err)
	}
	if !strings.Contains(err.Error(), "10.0.0.0/8") {
		t.Errorf("no example in %v", err)
	}
}
