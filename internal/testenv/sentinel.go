package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// StartReplicated starts a server of deploy/redis with replication.conf, as a replica if there is a master.
func (d *Deployment) StartReplicated(t testing.TB, master *RedisServer) *RedisServer {
	t.Helper()
	args := []string{"--include", d.File(t, "redis/replication.conf"), "--include", d.SecretFile("redis_replication-auth.conf"), "--repl-diskless-sync-delay", "0"}
	if master != nil {
		args = append(args, "--replicaof", "127.0.0.1 "+portOf(master.Addr))
	}
	return d.StartRedis(t, args...)
}

// StartSentinel starts a Sentinel of deploy/redis that watches a master, and gives its address.
func (d *Deployment) StartSentinel(t testing.TB, master *RedisServer) string {
	t.Helper()
	// The secrets stay, and the files that are made of them are made for this master.
	made := t.TempDir()
	if err := os.CopyFS(made, os.DirFS(d.secrets)); err != nil {
		t.Fatal(err)
	}
	script := exec.Command(d.File(t, "secrets.sh"), made)
	script.Env = append(os.Environ(), "REDIS_MASTER="+strings.ReplaceAll(master.Addr, ":", " "))
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := serverOn(port, t.TempDir())
	conf := filepath.Join(s.Dir, "sentinel.conf")
	if err := os.WriteFile(conf, []byte(read(t, filepath.Join(made, "redis_sentinel.conf"))), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = append([]string{conf, "--sentinel"}, append(s.args, "--aclfile", filepath.Join(made, "redis_sentinel.acl"))...)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s.Addr
}

// Sentinel gives a client of a Sentinel, as the user that Sentinels are, or as nobody in particular.
func (d *Deployment) Sentinel(t testing.TB, addr string, nobody bool) *redis.SentinelClient {
	t.Helper()
	options := redis.Options{DisableIdentity: true}
	if !nobody {
		options = d.login(t, "sentinel")
	}
	options.Addr = addr
	client := redis.NewSentinelClient(&options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}
