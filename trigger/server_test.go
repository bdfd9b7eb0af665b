package trigger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve runs a server of the handler on a free port until the test ends. It waits for clients for as long as the tests do, unless
// the test says otherwise.
func serve(t testing.TB, cfg ServerConfig, handler http.Handler) (server *Server, stop func()) {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	for _, timeout := range []*time.Duration{&cfg.ReadHeaderTimeout, &cfg.ReadTimeout, &cfg.WriteTimeout, &cfg.IdleTimeout} {
		orDefault(timeout, patience)
	}
	server, err := NewServer(cfg, handler)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	close(ready) // the address is bound: whoever connects now is served once Run gets to it
	return server, running(t, server.Run, ready)
}

// dial opens a raw connection and sends text on it.
func dial(t testing.TB, server *Server, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answers reads all answers of a connection until the server closes it.
func answers(t testing.TB, conn net.Conn) []*http.Response {
	t.Helper()
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", raw, err)
	}
	var list []*http.Response
	for reader := bufio.NewReader(bytes.NewReader(raw)); ; {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("in %q: %v", raw, err)
			}
			return list
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body = io.NopCloser(bytes.NewReader(body))
		list = append(list, response)
	}
}

// checkProblem checks that an answer is a problem of that status, told as it should be.
func checkProblem(t testing.TB, response *http.Response, status int) Problem {
	t.Helper()
	var problem Problem
	if err := json.NewDecoder(response.Body).Decode(&problem); err != nil {
		t.Fatalf("status %d: no problem: %v", response.StatusCode, err)
	}
	if response.StatusCode != status || problem.Status != status || problem.Title != http.StatusText(status) || problem.Type != "about:blank" {
		t.Errorf("got status %d and problem %+v, want %d", response.StatusCode, problem, status)
	}
	if got := response.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	return problem
}

// counter is a handler that counts requests and reads their bodies.
type counter struct {
	requests atomic.Int64
	smuggled atomic.Int64
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.requests.Add(1)
	if strings.Contains(r.URL.Path, "smuggled") {
		c.smuggled.Add(1)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, r.URL.Path)
}

// What a proxy in front may read in two ways is refused, and nothing that follows it on the connection is served.
func TestServerRefusesSmuggledRequestsAndClosesTheConnection(t *testing.T) {
	t.Parallel()
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	post := func(headers string) string { return "POST /first HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" }
	tests := map[string]struct {
		text   string
		status int
	}{
		"chunked alone":                     {post("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n" + smuggled, 411},
		"CL.TE":                             {post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\nX" + smuggled, 411},
		"TE.CL":                             {post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled), 411},
		"TE.TE":                             {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") + "0\r\n\r\n" + smuggled, 411},
		"identity":                          {post("Transfer-Encoding: identity\r\nContent-Length: 0\r\n") + smuggled, 411},
		"gzip":                              {post("Transfer-Encoding: gzip\r\n") + smuggled, 411},
		"another case":                      {post("tRANSFER-eNCODING: xchunked\r\n") + smuggled, 411},
		"an empty one":                      {post("Transfer-Encoding:\r\n") + smuggled, 411},
		"with a tab in front of its value":  {post("Transfer-Encoding:\tchunked\r\n") + smuggled, 411},
		"with a space before the colon":     {post("Transfer-Encoding : chunked\r\nContent-Length: 3\r\n") + "0\r\n" + smuggled, 411},
		"folded into the line before it":    {post("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + smuggled, 411},
		"in HTTP/1.0, where Go drops it":    {"POST /first HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n" + smuggled, 411},
		"behind a bare line feed":           {post("X: y\nTransfer-Encoding: chunked\r\n") + smuggled, 400},
		"behind a bare carriage return":     {post("X: y\rTransfer-Encoding: chunked\r\n") + smuggled, 400},
		"a head that ends in line feeds":    {"GET /first HTTP/1.1\nHost: a\n\n" + smuggled, 400},
		"a head that ends in a mix":         {"GET /first HTTP/1.1\r\nHost: a\r\n\n" + smuggled, 400},
		"a NUL in a header":                 {post("X: a\x00b\r\n") + smuggled, 400},
		"two lengths":                       {post("Content-Length: 0\r\nContent-Length: 38\r\n") + smuggled, 400},
		"two lengths in one line":           {post("Content-Length: 0, 38\r\n") + smuggled, 400},
		"two equal lengths":                 {post("Content-Length: 0\r\nContent-Length: 0\r\n") + smuggled, 400},
		"a length with a sign":              {post("Content-Length: +0\r\n") + smuggled, 400},
		"a negative length":                 {post("Content-Length: -1\r\n") + smuggled, 400},
		"a length in hex":                   {post("Content-Length: 0x0\r\n") + smuggled, 400},
		"an empty length":                   {post("Content-Length:\r\n") + smuggled, 400},
		"a length that overflows":           {post("Content-Length: 18446744073709551616\r\n") + smuggled, 400},
		"a folded line":                     {post("X: y\r\n z\r\n") + smuggled, 400},
		"a line without a colon":            {post("nonsense\r\n") + smuggled, 400},
		"a header name with a space":        {post("Content-Length : 0\r\n") + smuggled, 400},
		"no host":                           {"GET /first HTTP/1.1\r\n\r\n" + smuggled, 400},
		"two hosts":                         {post("Host: b\r\n") + smuggled, 400},
		"two spaces in the request line":    {"GET  /first HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, 400},
		"a space in the path":               {"GET /first HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, 400},
		"raw bytes in the path":             {"GET /f\xfcrst HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, 400},
		"a broken escape in the path":       {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, 400},
		"a path that is none":               {"GET first HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, 400},
		"nothing but line ends":             {"\r\n\r\n" + smuggled, 400},
		"HTTP/2 by prior knowledge":         {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		"another version":                   {"GET /first HTTP/1.2\r\nHost: a\r\n\r\n" + smuggled, 505},
		"no version":                        {"GET /first\r\n\r\n" + smuggled, 400},
		"a tunnel":                          {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + smuggled, 501},
		"an expectation that is not known":  {post("Expect: 200-ok\r\n") + smuggled, 417},
		"headers that are too large":        {post("X: "+strings.Repeat("x", DefaultMaxHeaderBytes)+"\r\n") + smuggled, 431},
		"a request line that is too long":   {"GET /" + strings.Repeat("x", DefaultMaxHeaderBytes) + " HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, 431},
		"too many headers":                  {post(strings.Repeat("X: y\r\n", maxHeaderLines+1)) + smuggled, 431},
		"TLS where plain HTTP is spoken":    {"\x16\x03\x01\x00\x05hello\r\n\r\n", 400},
		"a good request and then a bad one": {"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\nX" + smuggled, 411},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := &counter{}
			server, _ := serve(t, ServerConfig{}, handler)
			list := answers(t, dial(t, server, test.text))
			good := 0
			if strings.HasPrefix(name, "a good request") {
				good = 1
			}
			if len(list) != good+1 {
				t.Fatalf("got %d answers", len(list))
			}
			checkProblem(t, list[good], test.status)
			if !list[good].Close {
				t.Error("the answer does not announce the end of the connection")
			}
			if got := handler.requests.Load(); got != int64(good) || handler.smuggled.Load() != 0 {
				t.Errorf("%d requests reached the handler, %d of them smuggled", got, handler.smuggled.Load())
			}
		})
	}
}

func TestServerLetsARefusedClientReadItsAnswer(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, ServerConfig{}, &counter{})
	// What the server does not read would make TCP reset the connection at its end.
	conn := dial(t, server, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+strings.Repeat("x", 128<<10))
	list := answers(t, conn)
	if len(list) != 1 {
		t.Fatalf("got %d answers", len(list))
	}
	checkProblem(t, list[0], http.StatusLengthRequired)
}

// The next request may be read, and found bad, before the handler has seen the first one.
func TestRefusalIsForTheRequestItIsAbout(t *testing.T) {
	t.Parallel()
	const good, bad = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/3.0\r\n\r\n"
	s := &screen{Conn: &pieces{data: []byte(good + good + bad + good), size: 7}, limit: minHeaderBytes}
	passed, err := io.ReadAll(s)
	if err != nil || string(passed) != good+good+substitute {
		t.Fatalf("passed %q and %v", passed, err)
	}
	ctx := withScreen(t.Context(), s)
	if first, second, third := refused(ctx), refused(ctx), refused(ctx); first != nil || second != nil || third != errVersion {
		t.Errorf("got %v, %v, %v", first, second, third)
	}
}

func TestServerServesManyRequestsOnOneConnection(t *testing.T) {
	t.Parallel()
	server, _ := serve(t, ServerConfig{}, &counter{})
	body := strings.Repeat("b", 10_000)
	text := "GET /a HTTP/1.1\r\nHost: a\r\n\r\n" +
		fmt.Sprintf("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s\r\n", len(body), body) + // and a line end too many
		"GET http://a/c?x=1 HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST /d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
	conn := dial(t, server, "")
	go func() {
		for _, piece := range strings.SplitAfter(text, "\r") { // in pieces, that end in the middle of a line end
			_, _ = io.WriteString(conn, piece)
		}
	}()
	var paths []string
	for _, answer := range answers(t, conn) {
		path, _ := io.ReadAll(answer.Body)
		paths = append(paths, string(path))
	}
	if got := strings.Join(paths, " "); got != "/a /b /c /d" {
		t.Errorf("got %q", got)
	}
}

func TestServerGivesUpOnSlowClients(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"silence":          "",
		"half a head":      "GET / HTTP/1.1\r\nHost:",
		"half a body":      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
		"half a next head": "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 100 * time.Millisecond
			server, _ := serve(t, ServerConfig{ReadHeaderTimeout: limit, ReadTimeout: limit, IdleTimeout: limit}, &counter{})
			closedByServer(t, dial(t, server, text))
		})
	}
}

func TestServerTurnsAPanicIntoA500WithoutItsCause(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	server, stop := serve(t, ServerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
		}
		panic("kaboom")
	}))
	response, err := http.Get(server.URL() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if problem := checkProblem(t, response, http.StatusInternalServerError); strings.Contains(problem.Detail, "kaboom") {
		t.Error("the cause went to the client")
	}
	if late, err := http.Get(server.URL() + "/late"); err == nil {
		if _, err = io.Copy(io.Discard, late.Body); err == nil {
			t.Error("half an answer looked like a whole one")
		}
		_ = late.Body.Close()
	}
	stop()
	if !strings.Contains(log.String(), "kaboom") || !strings.Contains(log.String(), "server_test.go") {
		t.Errorf("the log says too little: %s", log.String())
	}
}

func TestServerFinishesRequestsWhenItEnds(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	server, stop := serve(t, ServerConfig{ShutdownTimeout: time.Hour}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-Closing(r.Context())
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request ended with the server: %v", err)
		}
		_, _ = io.WriteString(w, "finished")
	}))
	conn := dial(t, server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	stop()
	list := answers(t, conn)
	if body, _ := io.ReadAll(list[0].Body); string(body) != "finished" {
		t.Errorf("got %q", body)
	}
	if _, err := net.Dial("tcp", server.Addr().String()); err == nil {
		t.Error("a new connection was accepted after the end")
	}
}

func TestServerCutsOffRequestsThatOutliveTheShutdownTimeout(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	server, stop := serve(t, ServerConfig{ShutdownTimeout: 20 * time.Millisecond}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(began)
		<-release
	}))
	defer close(release)
	conn := dial(t, server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-began
	stop() // fails the test if Run does not return
	closedByServer(t, conn)
}

// closedByServer waits until the server has ended a connection. What it had not read yet resets it.
func closedByServer(t testing.TB, conn net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("not closed by the server: %v", err)
	}
}

func TestServerListsEverythingWrongWithItsConfiguration(t *testing.T) {
	t.Parallel()
	_, err := NewServer(ServerConfig{Listen: "8080", CertFile: "cert.pem", ReadTimeout: -1, MaxHeaderBytes: 10}, nil)
	var invalid InvalidError
	if !errors.As(err, &invalid) || len(invalid) != 4 {
		t.Errorf("got %v, want four problems", err)
	}
	if _, err := NewServer(ServerConfig{Listen: "127.0.0.1:0", CertFile: "/nowhere/cert.pem", KeyFile: "/nowhere/key.pem"}, nil); err == nil || !strings.Contains(err.Error(), "/nowhere/cert.pem") {
		t.Errorf("got %v, want the missing file", err)
	}
	taken, err := NewServer(ServerConfig{Listen: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := NewServer(ServerConfig{Listen: taken.Addr().String()}, nil); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v, want the address that is taken", err)
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 and its key.
func certificate(t testing.TB) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER), roots
}

func TestServerSpeaksTLSFrom12OnAndScreensItToo(t *testing.T) {
	t.Parallel()
	certFile, keyFile, roots := certificate(t)
	server, _ := serve(t, ServerConfig{CertFile: certFile, KeyFile: keyFile}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%v %s", r.TLS != nil && r.TLS.HandshakeComplete, r.Proto)
	}))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	response, err := client.Get(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "true HTTP/1.1" {
		t.Errorf("got %q", body)
	}
	request, err := http.NewRequest(http.MethodPost, server.URL(), io.NopCloser(strings.NewReader("x"))) // of unknown length, so chunked
	if err != nil {
		t.Fatal(err)
	}
	if response, err = client.Do(request); err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	checkProblem(t, response, http.StatusLengthRequired)
	old := &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	if conn, err := tls.Dial("tcp", server.Addr().String(), old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

func TestServerGivesUpOnASlowTLSHandshake(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := certificate(t)
	server, _ := serve(t, ServerConfig{CertFile: certFile, KeyFile: keyFile, ReadHeaderTimeout: 50 * time.Millisecond}, &counter{})
	closedByServer(t, dial(t, server, "\x16\x03"))
}

// pieces is a connection that delivers bytes in small reads and then ends.
type pieces struct {
	net.Conn
	data []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.data)
	p.data = p.data[n:]
	return n, nil
}

// Whatever comes in, what the screen passes on is read by net/http without an error, and without a Transfer-Encoding.
func FuzzScreen(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), uint8(3))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"), uint8(200))
	f.Add([]byte("\r\nGET / HTTP/1.1\nHost: a\n\n"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		s := &screen{Conn: &pieces{data: data, size: int(size) + 1}, limit: minHeaderBytes}
		reader := bufio.NewReader(s)
		for {
			request, err := http.ReadRequest(reader)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if err != nil {
				t.Fatalf("net/http refuses what the screen passed: %v", err)
			}
			if request.TransferEncoding != nil || request.ContentLength < 0 {
				t.Fatalf("passed %v, length %d", request.TransferEncoding, request.ContentLength)
			}
			if _, err := io.Copy(io.Discard, request.Body); err != nil {
				return // the body was cut off
			}
		}
	})
}

func ExampleServer() {
	server, err := NewServer(ServerConfig{Listen: "127.0.0.1:0"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()
	response, err := http.Get(server.URL())
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	cancel()
	fmt.Println(string(body), <-ended)
	// Output: hello <nil>
}
