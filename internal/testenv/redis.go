// Package testenv starts what the tests talk to: a real redis-server and a real nats-server, once per test binary,
// on free ports, and gives each test a key prefix or an account of names of its own.
package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a redis-server process that belongs to the tests.
type RedisServer struct {
	Addr string // host:port
	Dir  string

	args  []string
	login redis.Options // as whom to ask whether it is up
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// URL is the server's address as redis.url takes it.
func (s *RedisServer) URL() string {
	if s.login.TLSConfig != nil {
		return "rediss://" + s.Addr
	}
	return "redis://" + s.Addr
}

func portOf(addr string) string {
	_, port, _ := strings.Cut(addr, ":")
	return port
}

// patience is how long a server may take to come up on a loaded machine: it finds what hangs, and measures nothing.
const patience = 2 * time.Minute

// StartRedis starts a redis-server of the test's own, with appendonly on and extra arguments after that; it is killed
// when the test ends. Tests that do not disturb the server share the one of Redis.
func StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	server, err := newRedis(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	return server
}

// Redis gives a client of the shared redis-server and a key prefix that no other test uses.
func Redis(t testing.TB) (client redis.UniversalClient, prefix string) {
	t.Helper()
	server, err := sharedRedis()
	if err != nil {
		t.Fatal(err)
	}
	client = redis.NewClient(&redis.Options{
		Addr: server.Addr, MaxRetries: -1, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client, UniqueName("t")
}

// RedisURL gives the shared redis-server's URL and a key prefix that no other test uses.
func RedisURL(t testing.TB) (url, prefix string) {
	t.Helper()
	server, err := sharedRedis()
	if err != nil {
		t.Fatal(err)
	}
	return server.URL(), UniqueName("t")
}

var sharedRedis = sync.OnceValues(func() (*RedisServer, error) {
	dir, err := os.MkdirTemp("", "systole-redis-")
	if err != nil {
		return nil, err
	}
	// Nothing runs after the last test, so the server ends itself once this process is gone.
	return newRedis(dir, "--appendonly", "no", "--save", "")
})

var names atomic.Int64

// UniqueName gives a name that no other test of any process on this machine uses.
func UniqueName(stem string) string {
	return fmt.Sprintf("%s%d-%d", stem, os.Getpid(), names.Add(1))
}

// newRedis starts a server. A port that was free may be taken before the server has it: then it is another one's turn.
func newRedis(dir string, args ...string) (server *RedisServer, err error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, fmt.Errorf("redis-server is not installed; `make test` installs it: %w", err)
	}
	for range 3 {
		var port int
		if port, err = FreePort(); err != nil {
			return nil, err
		}
		server = serverOn(port, dir)
		// What it answered is with the kernel by then, so that Kill loses nothing of it. With everysec it may not be: while
		// the disk is slow, Redis answers for two seconds before it writes.
		server.args = append(server.args,
			"--save", "", "--appendonly", "yes", "--appendfsync", "no", "--maxmemory-policy", "noeviction",
			"--enable-debug-command", "yes")
		server.args = append(server.args, args...)
		if err = server.Start(); !errors.Is(err, errEnded) {
			return server, err
		}
	}
	return server, err
}

// errEnded: the process of a server ended by itself.
var errEnded = errors.New("it has ended")

// serverOn is a server that has not been started, with the arguments that a Sentinel takes as well.
func serverOn(port int, dir string) *RedisServer {
	return &RedisServer{Addr: "127.0.0.1:" + strconv.Itoa(port), Dir: dir, args: []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no",
		"--logfile", filepath.Join(dir, "redis.log"),
	}}
}

// Start starts the process again after Kill, on the same port and data.
func (s *RedisServer) Start() error {
	var said bytes.Buffer // what it says of its configuration, before it opens its log
	s.cmd = exec.Command("redis-server", s.args...)
	s.cmd.Stdout, s.cmd.Stderr = &said, &said
	dieWithParent(s.cmd)
	if err := startLocked(s.cmd); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(ended)
	}(s.cmd)
	options := s.login
	options.Addr, options.MaxRetries = s.Addr, -1
	client := redis.NewClient(&options)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			err = errEnded
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
			continue
		}
		log, _ := os.ReadFile(filepath.Join(s.Dir, "redis.log"))
		s.Kill() // and all that it has said is there
		return fmt.Errorf("redis-server did not come up: %w\n%s\n%s", err, strings.TrimSpace(said.String()), strings.TrimSpace(string(log)))
	}
}

// Kill ends the process at once, as a crash would. With the append-only file, what it had answered is there after Start.
func (s *RedisServer) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.cmd = nil
	}
}
