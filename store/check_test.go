package store_test

import (
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

func TestCheckWarnsOfWhatPutsDataAtRisk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"a Redis as it should be", nil, nil},
		{"one that evicts", []string{"--maxmemory-policy", "allkeys-lru"}, []string{"allkeys-lru"}},
		{"one without persistence", []string{"--appendonly", "no"}, []string{"appendonly is off"}},
		{"both", []string{"--appendonly", "no", "--maxmemory-policy", "volatile-ttl"}, []string{"volatile-ttl", "appendonly is off"}},
		{"one that keeps INFO to itself", []string{"--rename-command", "INFO", ""}, []string{"INFO"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartRedis(t, test.args...)
			f := fixtureOver(t, connect(t, server.URL()), store.Config{Prefix: "p"})
			warnings, err := f.Check(f.ctx)
			if err != nil || len(warnings) != len(test.want) {
				t.Fatalf("warnings %q, %v", warnings, err)
			}
			for i, want := range test.want {
				if !strings.Contains(warnings[i], want) {
					t.Errorf("warning %q does not speak of %q", warnings[i], want)
				}
			}
		})
	}
}

func TestConnectKeepsPasswordsOutOfItsErrors(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://user:hunter2@x", "redis://user:hunter2@x:bad/1", "hunter2"} {
		if _, err := store.Connect(store.ConnConfig{URLs: []string{url}}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
	if _, err := store.Connect(store.ConnConfig{}); err == nil || !strings.Contains(err.Error(), "redis.url") {
		t.Errorf("without an address: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	client, _ := testenv.Redis(t)
	for field, cfg := range map[string]store.Config{
		"Partitions": {Partitions: -1}, "RunsPerFlow": {RunsPerFlow: -1}, "Beats": {Beats: -1},
		"MaxQueued": {MaxQueued: -1}, "RunTTL": {RunTTL: -1},
	} {
		if _, err := store.New(client, cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
