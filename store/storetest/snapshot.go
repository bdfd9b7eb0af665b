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
	held, waiting                      map[string]*occurrence
	open                               []string
	places                             map[string]string
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
	waiting, open, keyed := hash("waiting"), set("open"), set("keyed")
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatalf("read %s: %v", tag, err)
	}
	s := snapshot{
		defs: defs.Val(), state: state.Val(), records: runs.Val(), logs: logs.Val(), params: params.Val(),
		due: scores(due.Val()), queue: scores(queue.Val()), ended: scores(ended.Val()), drains: scores(drains.Val()),
		blocked: sorted(scores(blocked.Val())), byflow: sorted(scores(byflow.Val())),
		beatlog: sorted(scores(beatlog.Val())), names: sorted(scores(names.Val())),
		cancels: cancels.Val(), dead: dead.Val(), deadlog: scores(deadlog.Val()),
		held: map[string]*occurrence{}, waiting: map[string]*occurrence{}, open: sorted(scores(open.Val())),
		places: map[string]string{}, beats: map[string]settling{},
	}
	s.token, _ = strconv.ParseInt(meta.Val()["token"], 10, 64)
	expiries := scores(leases.Val())
	if !slices.Equal(sorted(held.Val()), sorted(expiries)) {
		t.Fatalf("held are %v, leases are of %v", sorted(held.Val()), sorted(expiries))
	}
	for run, value := range held.Val() {
		s.held[run] = &occurrence{packed: readPacked(t, run, value), expiry: expiries[run]}
	}
	for run, value := range waiting.Val() {
		s.waiting[run] = s.readWaiting(t, readPacked(t, run, value))
	}
	for place := range scores(keyed.Val()) {
		key, run, _ := strings.Cut(place, "|")
		s.places[run] = key
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

// packed is an occurrence as Redis has it, under lease or waiting.
type packed struct {
	token                   int64
	run, occurrence         string
	slot                    int64 // 0 for a run-now
	attempt, tries, crashes int
	beat                    string
	asOf                    int64
	key                     string
	max                     int
	worker                  string
}

func readPacked(t *rapid.T, run, value string) packed {
	parts := strings.Split(value, "|")
	if len(parts) != 13 || parts[1] != run {
		t.Fatalf("occurrence of %s: %q", run, value)
	}
	return packed{
		token: num(t, parts[0]), run: parts[1], occurrence: parts[2], slot: num(t, parts[3]), attempt: int(num(t, parts[4])),
		tries: int(num(t, parts[5])), crashes: int(num(t, parts[6])), beat: parts[7], asOf: num(t, parts[8]),
		key: parts[9], max: int(num(t, parts[10])), worker: parts[11],
	}
}

// readWaiting finds the one place where a pending run waits.
func (s snapshot) readWaiting(t *rapid.T, p packed) *occurrence {
	var found []place
	if _, ok := s.queue[p.run]; ok {
		found = append(found, atQueue)
	}
	if _, ok := s.due[p.run]; ok {
		found = append(found, atDue)
	}
	for member, where := range map[string]place{
		p.run: atFlow, "!" + p.run: atPaused, fmt.Sprintf("#%s|%d|%s", p.key, p.token, p.run): atKey,
	} {
		if slices.Contains(s.blocked, member) {
			found = append(found, where)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s waits at %v", p.run, found)
	}
	return &occurrence{packed: p, at: found[0], due: s.due[p.run]}
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
	failures                     int
	ran, missed, skipped, paused int64
}

func standingOf(t *rapid.T, packed string) standing {
	parts := strings.SplitN(packed, "|", 4)
	if len(parts) != 4 {
		t.Fatalf("state %q", packed)
	}
	var past struct {
		Failures int   `json:"failures"`
		Ran      int64 `json:"ran"`
		Missed   int64 `json:"missed"`
		Skipped  int64 `json:"skipped"`
		Paused   int64 `json:"paused"`
	}
	if err := json.Unmarshal([]byte(parts[3]), &past); err != nil {
		t.Fatalf("state %q: %v", packed, err)
	}
	return standing{
		slot: num(t, parts[1]), failures: past.Failures, ran: past.Ran, missed: past.Missed, skipped: past.Skipped, paused: past.Paused,
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

func (o occurrence) String() string {
	return fmt.Sprintf("%s token %d attempt %d run %s slot %d beat %q as of %d key %q by %s until %d, waits at %q due %d",
		o.occurrence, o.token, o.attempt, o.run, o.slot, o.beat, o.asOf, o.key, o.worker, o.expiry, o.at, o.due)
}
