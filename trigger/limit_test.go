package trigger

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestLimiterRefusesWhatIsBeyondTheBurstAndSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	l, now, client := newLimiter(2, 3), time.Unix(1e9, 0), netip.MustParseAddr("10.0.0.1")
	for range 3 {
		if _, ok := l.take(client, now); !ok {
			t.Fatal("refused within the burst")
		}
	}
	for range 5 { // refused requests do not push the time further away
		if wait, ok := l.take(client, now); ok || wait != 500*time.Millisecond {
			t.Fatalf("got %v, %v, want a wait of 500ms", wait, ok)
		}
	}
	if _, ok := l.take(client, now.Add(500*time.Millisecond)); !ok {
		t.Error("refused after the wait")
	}
}

func TestLimiterCountsOneIPv6SubscriberAsOne(t *testing.T) {
	t.Parallel()
	l, now := newLimiter(1, 1), time.Unix(1e9, 0)
	for text, want := range map[string]bool{"2001:db8::1": true, "2001:db8:0:1::1": true, "10.0.0.1": true, "10.0.0.2": true} {
		if _, ok := l.take(netip.MustParseAddr(text), now); ok != want {
			t.Errorf("%s: got %v", text, ok)
		}
	}
	if _, ok := l.take(netip.MustParseAddr("2001:db8::ffff:2"), now); ok {
		t.Error("another address of the same /64 passed")
	}
	if _, ok := l.take(netip.Addr{}, now); !ok {
		t.Error("the first client of unknown address was refused")
	}
	if _, ok := l.take(netip.Addr{}, now); ok {
		t.Error("clients of unknown address do not share a limit")
	}
}

func TestLimiterForgetsTheQuietestClientWhenItIsFull(t *testing.T) {
	t.Parallel()
	l, now := newLimiter(1, 1), time.Unix(1e9, 0)
	client := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	for i := range maxClients {
		l.take(client(i), now)
	}
	l.take(client(0), now) // refused, but heard of lately
	for i := range 10 {
		l.take(client(maxClients+i), now)
	}
	if len(l.clients) != maxClients || l.recent.Len() != maxClients {
		t.Errorf("remembers %d and %d clients, want %d", len(l.clients), l.recent.Len(), maxClients)
	}
	if _, ok := l.take(client(0), now); ok {
		t.Error("forgot a client that was not quiet")
	}
	if _, ok := l.take(client(1), now); !ok {
		t.Error("still remembers the quietest client")
	}
}

func TestLimiterWithoutLimitRemembersNobody(t *testing.T) {
	t.Parallel()
	l := newLimiter(rate.Inf, 1)
	for range 100 {
		if _, ok := l.take(netip.MustParseAddr("10.0.0.1"), time.Unix(1e9, 0)); !ok {
			t.Fatal("refused")
		}
	}
	if len(l.clients) != 0 {
		t.Error("remembers a client")
	}
}
