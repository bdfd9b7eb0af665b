package webhook_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/systole-run/systole/executor/webhook"
	"github.com/systole-run/systole/store"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestOnlyPublicAddressesAndAllowedNetworksMayBeCalled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host, allow string
		what        string // empty where it may be called
	}{
		{"example.com", "", ""},
		{"93.184.215.14", "", ""},
		{"[2606:4700::1111]", "", ""},
		{"127.0.0.1", "", "loopback"},
		{"127.8.8.8", "", "loopback"},
		{"localhost", "", "loopback"},
		{"LOCALHOST.", "", "loopback"},
		{"api.localhost", "", "loopback"},
		{"[::1]", "", "loopback"},
		{"0.0.0.0", "", "unspecified"},
		{"[::]", "", "unspecified"},
		{"10.1.2.3", "", "private"},
		{"172.16.0.1", "", "private"},
		{"172.32.0.1", "", ""},
		{"192.168.1.1", "", "private"},
		{"[fd00:ec2::254]", "", "private"},
		{"100.64.0.1", "", "provider"},
		{"100.100.100.200", "", "provider"},
		{"169.254.169.254", "", "metadata"},
		{"168.63.129.16", "", "metadata"},
		{"[fe80::1]", "", "link-local"},
		{"[fe80::1%25eth0]", "", "link-local"},
		{"224.0.0.1", "", "multicast"},
		{"[ff02::1]", "", "multicast"},
		{"255.255.255.255", "", "broadcast"},
		{"198.18.0.1", "", "measurements"},
		{"192.0.0.192", "", "reserved"},
		{"[::ffff:127.0.0.1]", "", "loopback"},
		{"[::ffff:a9fe:a9fe]", "", "metadata"},
		{"[::127.0.0.1]", "", "reserved"},
		{"[64:ff9b::7f00:1]", "", "NAT64"},
		{"[64:ff9b:1::1]", "", "NAT64"},
		{"[2002:7f00:1::]", "", "6to4"},
		{"[2001:0:1::1]", "", "reserved"},
		{"[4000::1]", "", "reserved"},
		{"127.0.0.1", "127.0.0.0/8", ""},
		{"[::ffff:127.0.0.1]", "127.0.0.1/32", ""},
		{"[::1]", "127.0.0.0/8", "loopback"},
		{"10.1.2.3", "10.1.0.0/16", ""},
		{"10.2.2.3", "10.1.0.0/16", "private"},
		{"169.254.169.254", "10.0.0.0/8", "metadata"},
		{"[64:ff9b::7f00:1]", "127.0.0.0/8", "NAT64"},
	} {
		var allow []netip.Prefix
		if test.allow != "" {
			allow = prefixes(test.allow)
		}
		flow := store.DataFlow{HTTP: &store.HTTPSpec{URL: "http://" + test.host + "/x"}}
		err := webhook.CheckAddress(flow, allow)
		var invalid store.InvalidError
		switch {
		case test.what == "" && err != nil:
			t.Errorf("%s with %q allowed: %v", test.host, test.allow, err)
		case test.what != "" && (!errors.As(err, &invalid) || invalid[0].Field != "http.url" || !strings.Contains(invalid[0].Found, test.what) || strings.Contains(invalid[0].Found, "found")):
			t.Errorf("%s with %q allowed: %v, want one that says %q", test.host, test.allow, err, test.what)
		}
	}
}

func TestARunWhoseAddressMayNotBeCalledFailsForGood(t *testing.T) {
	t.Parallel()
	f := newFixtureOf(t, webhook.Config{Allow: prefixes("10.0.0.0/8")}, func(http.ResponseWriter, *http.Request) { t.Error("it was called") })
	result, log := f.run(t)
	if result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), "found 127.0.0.1, a loopback address, allowed are public addresses") {
		t.Errorf("got %+v", result)
	}
	if !strings.Contains(log, "loopback") {
		t.Errorf("the log says %q", log)
	}
}

func TestARedirectToTheMetadataAddressIsNotFollowed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
	})
	if result, _ := f.run(t); !result.Permanent || !strings.Contains(result.Err.Error(), "a redirect to http://169.254.169.254/latest/meta-data/, which is not followed") {
		t.Errorf("got %+v", result)
	}
}

// dnsServer answers each question for an address with the next of its answers, and the last one for ever.
type dnsServer struct {
	conn net.PacketConn

	mu      sync.Mutex
	answers [][4]byte
	asked   int
}

func newDNS(t *testing.T, answers ...[4]byte) *dnsServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &dnsServer{conn: conn, answers: answers}
	ended := make(chan struct{})
	go func() { defer close(ended); s.serve() }()
	t.Cleanup(func() { _ = conn.Close(); <-ended })
	return s
}

func (s *dnsServer) serve() {
	packet := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		var message dnsmessage.Message
		if message.Unpack(packet[:n]) != nil || len(message.Questions) != 1 {
			continue
		}
		question := message.Questions[0]
		message.Response, message.Additionals = true, nil
		if question.Type == dnsmessage.TypeA {
			message.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class},
				Body:   &dnsmessage.AResource{A: s.next()},
			}}
		}
		if answer, err := message.Pack(); err == nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

func (s *dnsServer) next() [4]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.answers[min(s.asked, len(s.answers))-1]
}

func (s *dnsServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// A name that meant an address which may be called, and means another one when it is connected to.
func TestANameIsCheckedByWhatItMeansWhenItIsConnectedTo(t *testing.T) {
	t.Parallel()
	allowed, inner := [4]byte{127, 0, 0, 2}, [4]byte{127, 0, 0, 1}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the inner service was called") }))
	service.Listener.Close()
	service.Listener = listener
	service.Start()
	t.Cleanup(service.Close)
	outer, err := net.ListenTCP("tcp", &net.TCPAddr{IP: allowed[:], Port: port})
	if err != nil {
		t.Skipf("this machine has one loopback address: %v", err)
	}
	public := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	public.Listener.Close()
	public.Listener = outer
	public.Start()
	t.Cleanup(public.Close)

	dns := newDNS(t, allowed, inner)
	f := newFixtureOf(t, webhook.Config{Allow: prefixes("127.0.0.2/32"), Resolver: dns.resolver()}, nil)
	f.task.Flow.HTTP.URL = "http://rebind.test.:" + portOf(listener)
	if result, _ := f.run(t); result.Err != nil {
		t.Fatalf("the name as it was first: %v", result.Err)
	}
	result, _ := f.run(t)
	if result.Reason != store.ReasonRefused || !result.Permanent || !strings.Contains(result.Err.Error(), "127.0.0.1, a loopback address") {
		t.Errorf("the name as it is now: %+v", result)
	}
	dns.mu.Lock()
	defer dns.mu.Unlock()
	if dns.asked < 2 {
		t.Errorf("the name was resolved %d times", dns.asked)
	}
}

func portOf(listener net.Listener) string {
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}
