package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of these tests, on the busiest of machines.
const patience = 2 * time.Minute

// answer is what a command left behind.
type answer struct {
	code     int
	out, err string
}

// run runs one command line in this process, with an environment that has nothing of this machine's.
func run(t *testing.T, environ []string, args ...string) answer {
	t.Helper()
	return runWith(t, "", environ, args...)
}

func runWith(t *testing.T, in string, environ []string, args ...string) answer {
	t.Helper()
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a := &app{in: strings.NewReader(in), out: &out, err: &errOut, environ: func() []string { return environ }, redisLog: unlogged, typing: patience}
	return answer{a.execute(ctx, args), out.String(), errOut.String()}
}

// unlogged leaves the one logger that go-redis has in a process alone: these tests share one process.
func unlogged(*slog.Logger) {}

// expect fails the test unless the command ended with a status and said all of these.
func (a answer) expect(t *testing.T, code int, says ...string) answer {
	t.Helper()
	if a.code != code {
		t.Errorf("exit status %d, want %d\n%s", a.code, code, a)
	}
	for _, text := range says {
		if !strings.Contains(a.out+a.err, text) {
			t.Errorf("does not say %q:\n%s", text, a)
		}
	}
	return a
}

// without fails the test if the command said one of these.
func (a answer) without(t *testing.T, texts ...string) answer {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.out+a.err, text) {
			t.Errorf("says %q:\n%s", text, a)
		}
	}
	return a
}

func (a answer) String() string { return "out:\n" + a.out + "err:\n" + a.err }

// role is a long-running command in this process.
type role struct {
	url     string // of its listener
	log     *lines
	out     *lines
	hangups chan os.Signal
	code    chan int
	stop    context.CancelFunc
}

// start runs a role until the test ends, and gives it back once its listener is bound.
func start(t *testing.T, environ []string, args ...string) *role {
	t.Helper()
	r := launch(t, environ, args...)
	found := r.log.find(t, regexp.MustCompile(`msg=listening component=`+args[0]+` listen=(\S+)`))
	r.url = found[1]
	return r
}

// launch runs a role that may also refuse to start.
func launch(t *testing.T, environ []string, args ...string) *role {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &role{log: newLines(), out: newLines(), hangups: make(chan os.Signal, 1), code: make(chan int, 1), stop: cancel}
	a := &app{in: strings.NewReader(""), out: r.out, err: r.log, environ: func() []string { return environ }, hangups: r.hangups, redisLog: unlogged}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.code <- a.execute(ctx, args)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// startDev runs `systole dev` on a free port, ready to hear heartbeats.
func startDev(t *testing.T, environ []string, args ...string) *role {
	t.Helper()
	r := start(t, environ, append([]string{"dev", "--gateway.listen", "127.0.0.1:0"}, args...)...)
	r.out.findWithin(t, 5*patience, regexp.MustCompile(`See what ran:`)) // it compiles modules before, and under the race detector that takes long
	return r
}

// reload asks for new settings, and waits for what the role says about them.
func (r *role) reload(t *testing.T) string {
	t.Helper()
	r.log.skip()
	r.hangups <- os.Interrupt // whichever signal: the channel is what counts
	return r.log.find(t, regexp.MustCompile(`msg="settings (?:not )?reloaded.*`))[0]
}

// lines collects what is written, line by line, and lets tests wait for a line.
type lines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	seen    int // what find does not look at any more
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{}, 1)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) skip() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = l.text.Len()
}

// find waits for a line that matches.
func (l *lines) find(t *testing.T, pattern *regexp.Regexp) []string {
	t.Helper()
	return l.findWithin(t, patience, pattern)
}

func (l *lines) findWithin(t *testing.T, limit time.Duration, pattern *regexp.Regexp) []string {
	t.Helper()
	timeout := time.After(limit)
	for {
		scanner := bufio.NewScanner(strings.NewReader(l.String()[l.seen:]))
		for scanner.Scan() {
			if found := pattern.FindStringSubmatch(scanner.Text()); found != nil {
				return found
			}
		}
		select {
		case <-l.changed:
		case <-timeout:
			t.Fatalf("no line matches %s:\n%s", pattern, l)
		}
	}
}

// write makes a file in a folder of the test, readable to its owner only.
func write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder makes a folder with files.
func folder(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ask sends one request and gives status and body.
func ask(t *testing.T, method, url, token string) (status int, body string) {
	t.Helper()
	return askWith(t, http.DefaultClient, method, url, token)
}

func askWith(t *testing.T, client *http.Client, method, url, token string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return send(t, client, request)
}

// send sends a request and gives status and body.
func send(t *testing.T, client *http.Client, request *http.Request) (status int, body string) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func overwrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
