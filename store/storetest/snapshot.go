package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// snapshot is all that Redis holds of a partition.
type snapshot struct {
	defs, state, records, logs, params map[string]string
	cancels, dead                      map[string]string
	due, queue, ended, drains, deadlog map[string]int64
	blocked, byflow, beatlog, names    []string
	held                               map[string]*holding
	beats                              map[string]settling
	token                              int64
}

// settling is a beat's record.
type settling struct {
	beat
	open    int
	settled bool
}

func take(t *rapid.T, client redis.UniversalClient, tag string) snapshot {
	ctx := context.Background()
	pipe := client.TxPipeline()
	hash := func(key string) *redis.MapStringStringCmd { return pipe.HGetAll(ctx, tag+key) }
	set := func(key string) *redis.ZSliceCmd { return pipe.ZRangeWithScores(ctx, tag+key, 0, -1) }
	defs, state, runs, logs, params := hash("defs"), hash("state"), hash("runs"), hash("logs"), hash("params")
	held, beats, meta, cancels, dead := hash("held"), hash("beats"), hash("meta"), hash("cancels"), hash("dead")
	deadlog := set("deadlog")
	due, queue, ended, drains, leases := set("due"), set("queue"), set("ended"), set("draining"), set("leases")
	blocked, byflow, beatlog, names := set("blocked"), set("byflow"), set("beatlog"), set("names")
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatalf("read %s: %v", tag, err)
	}
	s := snapshot{
		defs: defs.Val(), state: state.Val(), records: runs.Val(), logs: logs.Val(), params: params.Val(),
		due: scores(due.Val()), queue: scores(queue.Val()), ended: scores(ended.Val()), drains: scores(drains.Val()),
		blocked: sorted(scores(blocked.Val())), byflow: sorted(scores(byflow.Val())),
		beatlog: sorted(scores(beatlog.Val())), names: sorted(scores(names.Val())),
		cancels: cancels.Val(), dead: dead.Val(), deadlog: scores(deadlog.Val()),
		held: map[string]*holding{}, beats: map[string]settling{},
	}
	s.token, _ = strconv.ParseInt(meta.Val()["token"], 10, 64)
	expiries := scores(leases.Val())
	if !slices.Equal(sorted(held.Val()), sorted(expiries)) {
		t.Fatalf("held are %v, leases are of %v", sorted(held.Val()), sorted(expiries))
	}
	for name, packed := range held.Val() {
		s.held[name] = readHolding(t, packed, expiries[name])
	}
	for key, packed := range beats.Val() {
		s.beats[key] = readBeat(t, packed)
	}
	return s
}

func scores(members []redis.Z) map[string]int64 {
	all := make(map[string]int64, len(members))
	for _, z := range members {
		all[z.Member.(string)] = int64(z.Score)
	}
	return all
}

func readHolding(t *rapid.T, packed string, expiry int64) *holding {
	parts := strings.Split(packed, "|")
	if len(parts) != 10 {
		t.Fatalf("held value %q", packed)
	}
	return &holding{
		token: num(t, parts[0]), run: parts[1], occurrence: parts[2], slot: num(t, parts[3]), attempt: int(num(t, parts[4])),
		crashes: int(num(t, parts[5])), beat: parts[6], asOf: num(t, parts[7]), worker: parts[8], expiry: expiry,
	}
}

func readBeat(t *rapid.T, packed string) settling {
	parts := strings.SplitN(packed, "|", 12)
	if len(parts) != 12 {
		t.Fatalf("beat %q", packed)
	}
	count := func(i int) int { return int(num(t, parts[i])) }
	return settling{
		beat: beat{
			asOf: num(t, parts[0]), due: count(1), triggered: count(2), succeeded: count(4), failed: count(5), worker: parts[7],
		},
		open: count(3), settled: parts[6] != "",
	}
}

// standing is a flow's packed state: where it stands, as the model keeps it.
type standing struct {
	slot                         int64
	spent                        int
	tries, failures              int
	retryAt                      int64
	ran, missed, skipped, paused int64
}

func standingOf(t *rapid.T, packed string) standing {
	parts := strings.SplitN(packed, "|", 4)
	if len(parts) != 4 {
		t.Fatalf("state %q", packed)
	}
	var past struct {
		Tries    int   `json:"tries"`
		Failures int   `json:"failures"`
		RetryAt  int64 `json:"retry_at"`
		Ran      int64 `json:"ran"`
		Missed   int64 `json:"missed"`
		Skipped  int64 `json:"skipped"`
		Paused   int64 `json:"paused"`
	}
	if err := json.Unmarshal([]byte(parts[3]), &past); err != nil {
		t.Fatalf("state %q: %v", packed, err)
	}
	return standing{
		slot: num(t, parts[1]), spent: int(num(t, parts[2])), tries: past.Tries, failures: past.Failures, retryAt: past.RetryAt,
		ran: past.Ran, missed: past.Missed, skipped: past.Skipped, paused: past.Paused,
	}
}

func num(t *rapid.T, text string) int64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("not a number: %q", text)
	}
	return n
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func (h holding) String() string {
	return fmt.Sprintf("%s token %d attempt %d run %s beat %q as of %d by %s until %d", h.occurrence, h.token, h.attempt, h.run, h.beat, h.asOf, h.worker, h.expiry)
}
