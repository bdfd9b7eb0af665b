package store_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// eventually polls until check gives nil.
func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// startCluster starts a Redis Cluster of three masters, each with a third of the slots.
func startCluster(t *testing.T) []string {
	t.Helper()
	ctx := context.Background()
	var urls []string
	var nodes []*redis.Client
	for range 3 {
		server := testenv.StartRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
		urls = append(urls, server.URL())
		node := redis.NewClient(&redis.Options{Addr: server.Addr})
		t.Cleanup(func() { _ = node.Close() })
		nodes = append(nodes, node)
	}
	for i, node := range nodes {
		from, to := i*16384/3, (i+1)*16384/3-1
		if err := node.Do(ctx, "cluster", "addslotsrange", from, to).Err(); err != nil {
			t.Fatal(err)
		}
		if err := node.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
			t.Fatal(err)
		}
		host, port, _ := strings.Cut(strings.TrimPrefix(urls[0], "redis://"), ":")
		if err := node.Do(ctx, "cluster", "meet", host, port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes {
		eventually(t, "cluster comes up", func() error {
			info, err := node.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3")) {
				err = fmt.Errorf("%s", info)
			}
			return err
		})
	}
	return urls
}

func TestTheStoreWorksOnACluster(t *testing.T) { // R6.4
	t.Parallel()
	client := connect(t, startCluster(t)...)
	f := fixtureOver(t, client, store.Config{Prefix: "p", Partitions: 5})
	warnings, err := f.Check(f.ctx)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("check: %v, %v", warnings, err)
	}
	const flows = 20
	for n := range flows {
		f.put(function(fmt.Sprintf("flow-%02d", n), everyMinute))
	}
	if accepted := f.beat(); accepted.Due != flows {
		t.Fatalf("accepted %+v", accepted)
	}
	var settled []store.BeatView
	for _, p := range f.Partitions("default") {
		claimed := f.claimFrom(p, "w", 100)
		settled = append(settled, claimed.Settled...)
		if len(claimed.Claims) > 0 {
			settled = append(settled, f.complete(claimed.Claims...)...)
		}
	}
	if len(settled) != 1 || settled[0].Succeeded != flows {
		t.Errorf("settled %+v", settled)
	}
	f.runNow("flow-00", "")
	if err := f.DeleteFlow(f.ctx, "default", "flow-01"); err != nil {
		t.Error(err)
	}
	for name, read := range map[string]func() error{
		"flows":  func() error { _, _, err := f.Flows(f.ctx, "default", 10, ""); return err },
		"runs":   func() error { _, _, err := f.Runs(f.ctx, "default", store.RunFilter{}); return err },
		"beats":  func() error { _, _, err := f.Beats(f.ctx, "default", 10, ""); return err },
		"status": func() error { _, err := f.Status(f.ctx); return err },
	} {
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	single := fixtureOver(t, client, store.Config{Prefix: "q"})
	everything(single)
}

// startSentinel starts a master with a replica, and one Sentinel that watches them.
func startSentinel(t *testing.T) (sentinel string, master *testenv.RedisServer) {
	t.Helper()
	master = testenv.StartRedis(t, "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := testenv.StartRedis(t, "--replicaof", host+" "+port)
	client := redis.NewClient(&redis.Options{Addr: replica.Addr})
	t.Cleanup(func() { _ = client.Close() })
	eventually(t, "the replica is in sync", func() error {
		info, err := client.Info(context.Background(), "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = fmt.Errorf("%s", info)
		}
		return err
	})
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	watch := fmt.Sprintf("sentinel monitor main %s %s 1\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n", host, port)
	if err := os.WriteFile(conf, []byte(watch), 0o600); err != nil {
		t.Fatal(err)
	}
	watcher := testenv.StartSentinel(t, conf)
	asked := redis.NewSentinelClient(&redis.Options{Addr: watcher})
	t.Cleanup(func() { _ = asked.Close() })
	eventually(t, "the Sentinel knows the replica", func() error {
		replicas, err := asked.Replicas(context.Background(), "main").Result()
		if err == nil && len(replicas) != 1 {
			err = fmt.Errorf("it knows %d", len(replicas))
		}
		return err
	})
	return watcher, master
}

// The master is killed in mid-run; the Sentinel makes the replica the master, and the run is completed there.
func TestTheStoreFollowsASentinelToTheNewMaster(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal(err)
	}
	sentinel, master := startSentinel(t)
	client, err := store.Connect(store.ConnConfig{URLs: []string{"redis://" + sentinel}, Master: "main"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f := fixtureOver(t, client, store.Config{Prefix: "p"})
	f.put(function("a", everyMinute))
	f.beat()
	c := f.claimOne("w")
	if err := client.Do(f.ctx, "wait", 1, 5000).Err(); err != nil {
		t.Fatal(err)
	}
	master.Kill()
	eventually(t, "completed on the new master", func() error {
		written, err := f.Complete(f.ctx, f.p, success(c))
		answers := written.Answers
		if err == nil {
			err = answers[0].Err
		}
		return err
	})
	if run := f.run(c.RunID); run.Status != store.StatusSuccess {
		t.Errorf("run is %s", run.Status)
	}
}
