package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/systole-run/systole/store"
)

// A name that gives an allowed address once, and the address of something on the worker's own machine after that: what counts
// is the address that is connected to, each time.
func TestANameThatIsReboundReachesNothingThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	names := newRebinding(t)
	if exec.Command("unshare", "-m", "true").Run() != nil {
		t.Skip("this process may not make a mount namespace, in which the worker has a resolver of the test's")
	}
	var harm atomic.Int32
	_, port, _ := net.SplitHostPort(freeAddress(t))
	serveOn(t, "127.0.0.2:"+port, func(http.ResponseWriter, *http.Request) {})
	serveOn(t, "127.0.0.1:"+port, func(http.ResponseWriter, *http.Request) { harm.Add(1) })

	s := newStand(t)
	resolver := folder(t, map[string]string{"resolv.conf": "nameserver " + names.host + "\n"}) + "/resolv.conf"
	const become = `mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`
	w := spawnCommand(t, "w1", exec.Command("unshare", "-m", "sh", "-c", become, "sh", resolver, os.Args[0], "worker"),
		s.environ("worker", "SYSTOLE_WORKER__ID=w1", "SYSTOLE_EXECUTOR__HTTP__ALLOW=127.0.0.2/32")...)
	w.awaitReady()
	call := func(name string, beat int) store.Run {
		s.putFlow(store.DataFlow{Name: name, HTTP: &store.HTTPSpec{URL: "http://rebound.test:" + port}})
		s.publish("")
		s.settled(beat)
		return s.runs(store.RunFilter{Flow: name})[0]
	}
	if run := call("first", 1); run.Status != store.StatusSuccess {
		t.Fatalf("an allowed address: %s %s", run.Status, run.Error)
	}
	names.rebound.Store(true)
	run := call("second", 2)
	if run.Reason != store.ReasonRefused || !strings.Contains(run.Error, "loopback") || harm.Load() != 0 {
		t.Errorf("the other address: %s %s %q, %d requests arrived", run.Status, run.Reason, run.Error, harm.Load())
	}
}

func serveOn(t *testing.T, address string, handle http.HandlerFunc) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handle}}
	server.Config.SetKeepAlivesEnabled(false) // or a connection of before would be used again
	server.Start()
	t.Cleanup(server.Close)
}

// rebinding is a name server for which every name is at 127.0.0.2, until it is rebound to 127.0.0.1.
type rebinding struct {
	host    string
	rebound atomic.Bool
}

func newRebinding(t *testing.T) *rebinding {
	t.Helper()
	names := &rebinding{host: "127.0.0.77"}
	conn, err := net.ListenPacket("udp", names.host+":53")
	if err != nil {
		t.Skip("a name server needs port 53, which this process may not have: ", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		names.serve(conn)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return names
}

func (n *rebinding) serve(conn net.PacketConn) {
	packet := make([]byte, 4096)
	for {
		size, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		var message dnsmessage.Message
		if message.Unpack(packet[:size]) != nil || len(message.Questions) != 1 {
			continue
		}
		message.Response, message.Additionals = true, nil
		if question := message.Questions[0]; question.Type == dnsmessage.TypeA {
			address := [4]byte{127, 0, 0, 2}
			if n.rebound.Load() {
				address[3] = 1
			}
			message.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class},
				Body:   &dnsmessage.AResource{A: address},
			}}
		}
		if answer, err := message.Pack(); err == nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}
