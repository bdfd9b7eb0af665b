package embedded_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/embedded"
)

// patience bounds every wait of these tests, on the busiest of machines.
const patience = 2 * time.Minute

func TestTheEmbeddedNATSKeepsStreamsInItsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := embedded.NATS(embedded.NATSConfig{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(server.URL(), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	server.Close()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	if _, err := nats.Connect(server.URL()); err == nil {
		t.Error("the server still takes connections after Close")
	}
}

func TestTheEmbeddedNATSRefusesABadAddress(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"nowhere", "127.0.0.1:many"} {
		if _, err := embedded.NATS(embedded.NATSConfig{Listen: listen}); err == nil {
			t.Errorf("%q was taken", listen)
		}
	}
}

func TestTheEmbeddedNATSSaysWhyItCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for why, cfg := range map[string]embedded.NATSConfig{
		"address already in use": {Listen: taken.Addr().String()},
		"not a directory":        {StoreDir: file},
	} {
		if _, err := embedded.NATS(cfg); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("error is %v, want one with %q", err, why)
		}
	}
}

func TestTheTemporaryFolderOfTheEmbeddedNATSIsGoneAfterClose(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	server, err := embedded.NATS(embedded.NATSConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(temp); len(entries) != 1 {
		t.Errorf("the temporary folder holds %v while the server runs", entries)
	}
	server.Close()
	server.Close() // may be called again
	if entries, _ := os.ReadDir(temp); len(entries) != 0 {
		t.Errorf("the temporary folder holds %v after Close", entries)
	}
}

func TestTheClockOfTheEmbeddedRedisIsThatOfThisMachine(t *testing.T) {
	t.Parallel()
	server, err := embedded.Redis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	before := time.Now()
	got, err := client.Time(t.Context()).Result()
	if err != nil || got.Before(before.Truncate(time.Microsecond)) || got.After(time.Now()) {
		t.Errorf("TIME is %v, %v; it was asked for at %v", got, err, before)
	}
}

func TestTimesToLiveInTheEmbeddedRedisPass(t *testing.T) {
	t.Parallel()
	server, err := embedded.Redis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Set(t.Context(), "k", "v", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(patience); client.Exists(t.Context(), "k").Val() == 1; {
		select {
		case <-deadline:
			t.Fatal("the key did not expire")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
