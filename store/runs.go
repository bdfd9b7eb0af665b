package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/redis/go-redis/v9"
)

// Run reads one run, or fails with ErrNotFound.
func (s *Store) Run(ctx context.Context, group, id string) (Run, error) {
	p := s.partitionOf(group, flowOf(id))
	runs, err := s.readRuns(ctx, p, "runs", []string{id})
	if err != nil {
		return Run{}, err
	}
	if len(runs) == 0 {
		return Run{}, fmt.Errorf("run %s of group %s: %w", id, group, ErrNotFound)
	}
	return s.withLive(ctx, p, runs[0])
}

// withLive adds what the record of a run that has not ended does not hold: its parameters, where it is a run-now, and
// whether it is to be cancelled.
func (s *Store) withLive(ctx context.Context, p Partition, run Run) (Run, error) {
	if run.Status.Final() {
		return run, nil
	}
	pipe := s.redis.Pipeline()
	params := pipe.HGet(ctx, s.key(p, "params"), run.OccurrenceID)
	cancel := pipe.HExists(ctx, s.key(p, "cancels"), run.ID)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return run, translate(err)
	}
	if given := params.Val(); given != "" {
		run.Params = json.RawMessage(given)
	}
	run.CancelRequested = cancel.Val()
	return run, nil
}

// RunLog reads the tail of a run's output, empty where it gave none, or fails with ErrNotFound.
func (s *Store) RunLog(ctx context.Context, group, id string) ([]byte, error) {
	p := s.partitionOf(group, flowOf(id))
	log, err := s.redis.HGet(ctx, s.key(p, "logs"), id).Bytes()
	if !errors.Is(err, redis.Nil) {
		return log, translate(err)
	}
	_, err = s.Run(ctx, group, id)
	return nil, err
}

// Runs reads a page of a group's runs: one flow's by age, the newest first; or all flows', those that are not final
// first and then by end. next is empty on the last page, else what to give as After.
func (s *Store) Runs(ctx context.Context, group string, filter RunFilter) (runs []Run, next string, err error) {
	if filter.Status != "" && !slices.Contains(Statuses, filter.Status) {
		return nil, "", InvalidError{{Field: "status", Found: fmt.Sprintf("%.80q", filter.Status), Allowed: fmt.Sprint(Statuses)}}
	}
	limit := pageSize(filter.Limit)
	runs = []Run{}
	after := filter.After
	// A filter by status leaves gaps in a page; a bounded number of pages is read to fill it.
	const mostPages = 20
	for range mostPages {
		page, more, err := s.runPage(ctx, group, filter.Flow, limit-len(runs), after)
		if err != nil {
			return nil, "", err
		}
		for _, run := range page {
			if filter.Status == "" || run.Status == filter.Status {
				runs = append(runs, run)
			}
		}
		after = more
		if after == "" || len(runs) >= limit {
			break
		}
	}
	return runs, after, nil
}

func (s *Store) runPage(ctx context.Context, group, flow string, limit int, after string) ([]Run, string, error) {
	if flow != "" {
		return s.flowRuns(ctx, group, flow, limit, after)
	}
	return s.groupRuns(ctx, group, limit, after)
}

func (s *Store) flowRuns(ctx context.Context, group, flow string, limit int, after string) ([]Run, string, error) {
	p := s.partitionOf(group, flow)
	to := "(" + flow + "\x7f"
	if after != "" {
		at, err := parseCursor(after)
		if err != nil {
			return nil, "", err
		}
		to = "(" + at.member
	}
	ids, err := s.redis.ZRevRangeByLex(ctx, s.key(p, "byflow"), &redis.ZRangeBy{Min: "[" + flow + "~", Max: to, Count: int64(limit + 1)}).Result()
	if err != nil {
		return nil, "", translate(err)
	}
	next := ""
	if len(ids) > limit {
		ids = ids[:limit]
		next = cursor{member: ids[limit-1]}.String()
	}
	runs, err := s.readRuns(ctx, p, "runs", ids)
	return runs, next, err
}

// openScore orders runs that are not final before all that are.
const openScore = int64(1) << 52

type placedRun struct {
	at        cursor
	partition Partition
}

func (s *Store) groupRuns(ctx context.Context, group string, limit int, after string) ([]Run, string, error) {
	var placed []placedRun
	for _, p := range s.Partitions(group) {
		open, err := s.openRuns(ctx, p, after)
		if err != nil {
			return nil, "", err
		}
		past, err := s.newest(ctx, s.key(p, "ended"), limit+1, after)
		if err != nil {
			return nil, "", err
		}
		for _, at := range slices.Concat(open, past) {
			placed = append(placed, placedRun{at: at, partition: p})
		}
	}
	sort.Slice(placed, func(i, j int) bool { return placed[i].at.before(placed[j].at) })
	next := ""
	if len(placed) > limit {
		placed = placed[:limit]
		next = placed[limit-1].at.String()
	}
	runs, err := s.readPlaced(ctx, "runs", placed)
	return runs, next, err
}

// openRuns are the runs of a partition that are pending or in progress, after the cursor.
func (s *Store) openRuns(ctx context.Context, p Partition, after string) ([]cursor, error) {
	var from cursor
	if after != "" {
		var err error
		if from, err = parseCursor(after); err != nil || from.score < openScore {
			return nil, err
		}
	}
	pipe := s.redis.Pipeline()
	held := pipe.HKeys(ctx, s.key(p, "held"))
	waiting := pipe.HKeys(ctx, s.key(p, "waiting"))
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, translate(err)
	}
	ids := slices.Concat(held.Val(), waiting.Val())
	var open []cursor
	for _, id := range ids {
		at := cursor{score: openScore, member: id}
		if after == "" || from.before(at) {
			open = append(open, at)
		}
	}
	return open, nil
}

// readPlaced reads runs in their order, from the hash that key names: the history, or the dead letters.
func (s *Store) readPlaced(ctx context.Context, key string, placed []placedRun) ([]Run, error) {
	ids := make(map[Partition][]string)
	for _, run := range placed {
		ids[run.partition] = append(ids[run.partition], run.at.member)
	}
	found := make(map[string]Run, len(placed))
	for p, members := range ids {
		runs, err := s.readRuns(ctx, p, key, members)
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			found[run.ID] = run
		}
	}
	runs := make([]Run, 0, len(placed))
	for _, run := range placed {
		// A run may have been dropped, or have ended and so be listed twice, between the two reads.
		if read, ok := found[run.at.member]; ok {
			runs = append(runs, read)
			delete(found, run.at.member)
		}
	}
	return runs, nil
}

func (s *Store) readRuns(ctx context.Context, p Partition, key string, ids []string) ([]Run, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	records, err := s.redis.HMGet(ctx, s.key(p, key), ids...).Result()
	if err != nil {
		return nil, translate(err)
	}
	runs := make([]Run, 0, len(ids))
	for i, record := range records {
		if record == nil {
			continue
		}
		run, err := decodeRun(p.Group, ids[i], text(record))
		if err != nil {
			return nil, err
		}
		if run.Status == StatusInProgress && run.StartedAt != nil {
			run.DurationMS = 0
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// Status gives every group that has flows, at a glance.
func (s *Store) Status(ctx context.Context) ([]GroupStatus, error) {
	groups, err := s.Groups(ctx)
	if err != nil {
		return nil, err
	}
	all := []GroupStatus{}
	for _, group := range groups {
		status := GroupStatus{Group: group}
		for _, p := range s.Partitions(group) {
			if err := s.addStatus(ctx, p, &status); err != nil {
				return nil, err
			}
		}
		if status.Flows > 0 || status.Running > 0 {
			all = append(all, status)
		}
	}
	return all, nil
}

// addStatus adds a partition's numbers to its group's, in one round trip once the clock is known.
func (s *Store) addStatus(ctx context.Context, p Partition, status *GroupStatus) error {
	now, err := s.clock(ctx, p)
	if err != nil {
		return err
	}
	status.At = later(status.At, now)
	pipe := s.redis.Pipeline()
	flows := pipe.HLen(ctx, s.key(p, "defs"))
	due := pipe.ZCount(ctx, s.key(p, "due"), "-inf", msText(now))
	queued := pipe.ZCard(ctx, s.key(p, "queue"))
	blocked := pipe.ZCard(ctx, s.key(p, "blocked"))
	held := pipe.HLen(ctx, s.key(p, "held"))
	if _, err := pipe.Exec(ctx); err != nil {
		return translate(err)
	}
	status.Flows += int(flows.Val())
	status.Due += int(due.Val())
	status.Queued += int(queued.Val() + blocked.Val())
	status.Running += int(held.Val())
	last, err := s.beatPage(ctx, p, 1, "")
	if err != nil || len(last) == 0 {
		return err
	}
	if at := last[0].view.AsOf; status.LastBeatAt == nil || at.After(*status.LastBeatAt) {
		status.LastBeatAt, status.LastBeatID = new(time.Time), last[0].view.ID
		*status.LastBeatAt = at
	}
	return nil
}
