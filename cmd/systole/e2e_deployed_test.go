package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// Servers that take nothing in the clear, and a Redis that asks its clients for a certificate, too.
func TestRolesTalkToNATSAndRedisOverTLS(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	var settings []string
	for _, server := range []string{"NATS", "REDIS"} {
		for file, name := range map[string]string{"CA_FILE": "ca.crt", "CERT_FILE": "worker.crt", "KEY_FILE": "worker.key"} {
			settings = append(settings, "SYSTOLE_"+server+"__TLS__"+file+"="+d.Cert(t, name))
		}
	}
	s := standOver(t, d.StartRedisTLS(t, "--tls-auth-clients", "yes"), d.StartNATS(t, "include tls.conf"), settings...)
	if !strings.HasPrefix(s.nats.URL, "tls://") || !strings.HasPrefix(s.redis.URL(), "rediss://") {
		t.Fatalf("the servers are %s and %s", s.nats.URL, s.redis.URL())
	}
	s.workers(1, 4)
	gateway := s.gateway()
	s.put("orders", 3, "echo done")
	if answer := settleBeat(t, gateway.url("gateway")); answer.Succeeded != 3 {
		t.Errorf("got %+v", answer)
	}
}

// Streams are on each of three servers; the one that leads them dies, and nothing that comes after it is lost.
func TestHeartbeatsAndRunNowsOutliveAServerOfTheCluster(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	nodes := d.StartNATSCluster(t)
	var urls []string
	for _, node := range nodes {
		urls = append(urls, node.URL)
	}
	s := standOver(t, d.StartRedis(t), nodes[0], "SYSTOLE_NATS__URL="+strings.Join(urls, ","), "SYSTOLE_NATS__TLS__CA_FILE="+d.Cert(t, "ca.crt"), "SYSTOLE_NATS__REPLICAS=3")
	s.workers(1, 4)
	gateway := s.gateway()
	s.put("before", 2, "echo done")
	if answer := settleBeat(t, gateway.url("gateway")); answer.Succeeded != 2 {
		t.Errorf("got %+v", answer)
	}
	js, err := jetstream.New(s.operator(), jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SYSTOLE_BEATS", "SYSTOLE_RUNS", "SYSTOLE_EVENTS", "SYSTOLE_DEAD"} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if info := stream.CachedInfo(); info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 {
			t.Errorf("%s has %d replicas, and is on %+v", name, info.Config.Replicas, info.Cluster)
		}
	}
	leads := func(node *testenv.NATSServer) bool { return node.JetStreamIsStreamLeader("SYSTOLE", "SYSTOLE_BEATS") }
	leader := -1
	pollUntil(t, "a server leads the stream of heartbeats", func() bool { leader = slices.IndexFunc(nodes, leads); return leader >= 0 })
	nodes[leader].Stop()

	s.put("after", 2, "echo done")
	pollUntil(t, "a heartbeat is accepted", func() bool {
		response, _ := sendBeat(t, http.MethodPost, gateway.url("gateway")+"/heartbeat")
		return response.StatusCode == http.StatusAccepted
	})
	s.awaitRuns(4, store.StatusSuccess)
	pollUntil(t, "a run-now is accepted", func() bool {
		ask, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway.url("gateway")+"/run/default/before-0", nil)
		if err != nil {
			t.Fatal(err)
		}
		ask.Header.Set("Idempotency-Key", "once")
		response, err := http.DefaultClient.Do(ask)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusAccepted
	})
	s.awaitRuns(5, store.StatusSuccess)
}
