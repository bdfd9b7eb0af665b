package store_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
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
	deadline := time.After(patience)
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

// connectAs makes a client as a role does that is a user of deploy/redis.
func connectAs(t *testing.T, user, master string, urls ...string) redis.UniversalClient {
	t.Helper()
	client, err := store.Connect(store.ConnConfig{
		URLs: urls, Master: master, Name: "test", Username: user, Password: testenv.Deploy(t).Secret(t, "redis_"+user+"_password"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// startCluster starts a Redis Cluster of three masters as in deploy/redis, each with a third of the slots.
func startCluster(t *testing.T) []string {
	t.Helper()
	ctx, d := context.Background(), testenv.Deploy(t)
	var urls []string
	var nodes []*redis.Client
	for range 3 {
		server := d.StartRedis(t, "--include", d.File(t, "redis/cluster.conf"))
		urls = append(urls, server.URL())
		nodes = append(nodes, d.Redis(t, server, "operator"))
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
			for _, want := range []string{"cluster_state:ok", "cluster_known_nodes:3", "cluster_slots_assigned:16384"} { // as far as this node has heard
				if err == nil && !strings.Contains(info, want+"\r\n") {
					err = fmt.Errorf("not %s: %s", want, info)
				}
			}
			return err
		})
	}
	return urls
}

func TestTheStoreWorksOnACluster(t *testing.T) { // R6.4
	t.Parallel()
	client := connectAs(t, "console", "", startCluster(t)...)
	f := fixtureOver(t, client, store.Config{Prefix: "systole", Partitions: 5})
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
	single := fixtureOver(t, client, store.Config{Prefix: "systole:q"})
	everything(single)
}

// A slot that moves to another node, as when a node is added: what is there already is asked for with ASKING.
func TestTheStoreFollowsASlotThatMovesToAnotherNode(t *testing.T) { // R6.4
	t.Parallel()
	ctx, d := t.Context(), testenv.Deploy(t)
	urls := startCluster(t)
	operator := connectAs(t, "operator", "", urls...)
	const key = "systole:{default/0}:state"
	slot := operator.ClusterKeySlot(ctx, key).Val()
	owner := int(slot * 3 / 16384)
	var nodes []*redis.Client
	var ids []string
	for _, url := range urls {
		node := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(url, "redis://"), Username: "operator", Password: d.Secret(t, "redis_operator_password")})
		t.Cleanup(func() { _ = node.Close() })
		nodes, ids = append(nodes, node), append(ids, node.Do(ctx, "cluster", "myid").Val().(string))
	}
	next := (owner + 1) % len(nodes)
	if err := nodes[next].Do(ctx, "cluster", "setslot", slot, "importing", ids[owner]).Err(); err != nil {
		t.Fatal(err)
	}
	if err := nodes[owner].Do(ctx, "cluster", "setslot", slot, "migrating", ids[next]).Err(); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"worker", "console"} {
		if err := connectAs(t, user, "", urls...).HSet(ctx, key, user, "1").Err(); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// startSentinels starts a master with two replicas and three Sentinels as in deploy/redis, and gives the Sentinels' URLs. hurry has
// them act sooner than in production; until it is called, a machine that is busy for a second makes no replica the master.
func startSentinels(t *testing.T) (urls []string, master *testenv.RedisServer, hurry func()) {
	t.Helper()
	ctx, d := context.Background(), testenv.Deploy(t)
	master = d.StartReplicated(t, nil)
	for range 2 {
		replica := d.Redis(t, d.StartReplicated(t, master), "monitor")
		eventually(t, "the replica is in sync", func() error {
			info, err := replica.Info(ctx, "replication").Result()
			if err == nil && !strings.Contains(info, "master_link_status:up") {
				err = fmt.Errorf("%s", info)
			}
			return err
		})
	}
	var sentinels []string
	for range 3 {
		addr := d.StartSentinel(t, master)
		sentinels, urls = append(sentinels, addr), append(urls, "redis://"+addr)
	}
	for _, addr := range sentinels {
		asked := d.Sentinel(t, addr, true)
		eventually(t, "the Sentinel knows the others and the replicas", func() error {
			replicas, err := asked.Replicas(ctx, "main").Result()
			others, err2 := asked.Sentinels(ctx, "main").Result()
			if err := errors.Join(err, err2); err != nil || len(replicas) == 2 && len(others) == 2 {
				return err
			}
			return fmt.Errorf("it knows %d replicas and %d others", len(replicas), len(others))
		})
	}
	hurry = func() {
		t.Helper()
		for _, addr := range sentinels {
			for name, value := range map[string]string{"down-after-milliseconds": "1000", "failover-timeout": "3000"} {
				if err := d.Sentinel(t, addr, false).Set(ctx, "main", name, value).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return urls, master, hurry
}

// The master is killed in mid-run; the Sentinels make a replica the master, and the run is completed there.
func TestTheStoreFollowsSentinelsToTheNewMaster(t *testing.T) {
	t.Parallel()
	urls, master, hurry := startSentinels(t)
	f := fixtureOver(t, connectAs(t, "worker", "main", urls...), store.Config{})
	console, err := store.New(connectAs(t, "console", "main", urls...), store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := console.PutFlow(f.ctx, function("a", everyMinute)); err != nil {
		t.Fatal(err)
	}
	f.beat()
	c := f.claimOne("w")
	eventually(t, "both replicas have the claim", func() error {
		info, err := testenv.Deploy(t).Redis(t, master, "monitor").Info(f.ctx, "replication").Result()
		offset := regexp.MustCompile(`master_repl_offset:(\d+)`).FindStringSubmatch(info)
		if err == nil && (offset == nil || strings.Count(info, "state=online,offset="+offset[1]+",") != 2) {
			err = fmt.Errorf("%s", info)
		}
		return err
	})
	master.Kill()
	hurry()
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

// Whoever has no password may ask a Sentinel where the master is, and not make it do anything.
func TestNobodyTellsASentinelWhatToDoWithoutAPassword(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	master := d.StartReplicated(t, nil)
	addr := d.StartSentinel(t, master)
	nobody := d.Sentinel(t, addr, true)
	if at, err := nobody.GetMasterAddrByName(t.Context(), "main").Result(); err != nil || strings.Join(at, ":") != master.Addr {
		t.Errorf("got %v and %v, want %s", at, err, master.Addr)
	}
	for name, err := range map[string]error{
		"failover": nobody.Failover(t.Context(), "main").Err(), "set": nobody.Set(t.Context(), "main", "quorum", "1").Err(),
		"remove": nobody.Remove(t.Context(), "main").Err(),
	} {
		if err == nil || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%s: got %v, want NOPERM", name, err)
		}
	}
	if err := d.Sentinel(t, addr, false).Set(t.Context(), "main", "quorum", "1").Err(); err != nil {
		t.Errorf("a Sentinel: got %v", err)
	}
}
