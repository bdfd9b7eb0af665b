package trigger

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// rested is a server that tells of each connection that has come to rest.
func rested(t *testing.T, most int, handler http.HandlerFunc) (server *Server, rests <-chan struct{}) {
	t.Helper()
	server, err := NewServer(ServerConfig{Listen: "127.0.0.1:0", MaxConns: most}, handler)
	if err != nil {
		t.Fatal(err)
	}
	told, count := make(chan struct{}, 100), server.http.ConnState
	server.http.ConnState = func(conn net.Conn, state http.ConnState) {
		if count(conn, state); state == http.StateIdle {
			told <- struct{}{}
		}
	}
	ready := make(chan struct{})
	close(ready)
	running(t, server.Run, ready)
	return server, told
}

// idle opens a connection, asks once, and leaves it at rest.
func idle(t *testing.T, server *Server, rests <-chan struct{}) net.Conn {
	t.Helper()
	conn := dial(t, server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("answered %d, %v", response.StatusCode, err)
	}
	<-rests
	return conn
}

func TestAFurtherConnectionTakesThePlaceOfTheOneThatHasRestedLongest(t *testing.T) {
	t.Parallel()
	at, release := make(chan struct{}, 10), make(chan struct{})
	server, rests := rested(t, 3, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			at <- struct{}{}
			<-release
		}
	})
	const hold = "GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	working := dial(t, server, hold)
	<-at
	first := idle(t, server, rests)
	second := idle(t, server, rests)
	third := idle(t, server, rests)
	if rest, err := io.ReadAll(first); err != nil || len(rest) > 0 {
		t.Errorf("the one that has rested longest reads %q, %v", rest, err)
	}
	_ = idle(t, server, rests) // and so on, for second
	if rest, err := io.ReadAll(second); err != nil || len(rest) > 0 {
		t.Errorf("the next one reads %q, %v", rest, err)
	}
	if _, err := io.WriteString(third, hold); err != nil {
		t.Fatal(err)
	}
	<-at
	close(release)
	for _, conn := range []net.Conn{working, third} { // which were at work
		if got := answers(t, conn); len(got) != 1 || got[0].StatusCode != http.StatusOK {
			t.Errorf("answered %v", got)
		}
	}
}

func TestWhereAllConnectionsAreAtWorkAFurtherOneIsClosed(t *testing.T) {
	t.Parallel()
	at, release := make(chan struct{}, 1), make(chan struct{})
	server, _ := rested(t, 1, func(http.ResponseWriter, *http.Request) {
		at <- struct{}{}
		<-release
	})
	working := dial(t, server, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	<-at
	if rest, err := io.ReadAll(dial(t, server, "")); err != nil || len(rest) > 0 {
		t.Errorf("a further one reads %q, %v", rest, err)
	}
	close(release)
	if got := answers(t, working); len(got) != 1 || got[0].StatusCode != http.StatusOK {
		t.Errorf("answered %v", got)
	}
}
