package store

import (
	"context"
	"fmt"
	"sort"
)

// Dead reads a page of a group's dead letters, the newest first: the last runs of occurrences that failed for good. They
// are kept up to Config.DeadLetters and RunTTL. next is empty on the last page, else what to give as after.
func (s *Store) Dead(ctx context.Context, group string, limit int, after string) (runs []Run, next string, err error) {
	limit = pageSize(limit)
	var placed []placedRun
	for _, p := range s.Partitions(group) {
		page, err := s.newest(ctx, s.key(p, "deadlog"), limit+1, after)
		if err != nil {
			return nil, "", err
		}
		for _, at := range page {
			placed = append(placed, placedRun{at: at, partition: p})
		}
	}
	sort.Slice(placed, func(i, j int) bool { return placed[i].at.before(placed[j].at) })
	if len(placed) > limit {
		placed = placed[:limit]
		next = placed[limit-1].at.String()
	}
	runs, err = s.readPlaced(ctx, "dead", placed)
	return runs, next, err
}

// deadRun reads one dead letter, nil if it is gone.
func (s *Store) deadRun(ctx context.Context, p Partition, id string) (*Run, error) {
	runs, err := s.readRuns(ctx, p, "dead", []string{id})
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return &runs[0], nil
}

// PurgeDead forgets dead letters of a group: those with the ids, or all where ids is nil. It gives how many there were.
func (s *Store) PurgeDead(ctx context.Context, group string, ids []string) (purged int, err error) {
	byPartition := make(map[Partition][]string)
	for _, id := range ids {
		p := s.partitionOf(group, flowOf(id))
		byPartition[p] = append(byPartition[p], id)
	}
	for _, p := range s.Partitions(group) {
		members := byPartition[p]
		if ids == nil {
			if members, err = s.redis.HKeys(ctx, s.key(p, "dead")).Result(); err != nil {
				return purged, translate(err)
			}
		}
		for part := range chunks(members) {
			pipe := s.redis.TxPipeline()
			gone := pipe.HDel(ctx, s.key(p, "dead"), part...)
			pipe.ZRem(ctx, s.key(p, "deadlog"), anys(part)...)
			if _, err := pipe.Exec(ctx); err != nil {
				return purged, translate(err)
			}
			purged += int(gone.Val())
		}
	}
	return purged, nil
}

func anys(texts []string) []any {
	items := make([]any, len(texts))
	for i, text := range texts {
		items[i] = text
	}
	return items
}

// RetryRun runs a finished run again, at once and with the same parameters, and gives the id of the new one. A run that
// failed or was cancelled is attempted once more: its occurrence id stays, so that what it did already can be told from
// what it did not. One that succeeded is a new occurrence. It fails with ErrNotFound; with ErrNotEnded where the run is
// not final, or where its occurrence still goes on by itself; and with ErrQueueFull.
func (s *Store) RetryRun(ctx context.Context, group, id string) (runID string, err error) {
	flow := flowOf(id)
	p := s.partitionOf(group, flow)
	run, err := s.finishedRun(ctx, p, id)
	if err != nil {
		return "", err
	}
	ask := RunNow{Group: group, Flow: flow, Params: run.Params, again: id}
	if run.Status != StatusSuccess {
		ask.occurrence, ask.attempt = run.OccurrenceID, run.Attempt+1
	}
	return s.Enqueue(ctx, ask)
}

// RetryDead is RetryRun for a dead letter, which it takes off the list in the same step. It fails with ErrNotFound for a
// run that is not on it.
func (s *Store) RetryDead(ctx context.Context, group, id string) (runID string, err error) {
	dead, err := s.deadRun(ctx, s.partitionOf(group, flowOf(id)), id)
	if err != nil {
		return "", err
	}
	if dead == nil {
		return "", fmt.Errorf("run %s among the dead of group %s: %w", id, group, ErrNotFound)
	}
	return s.RetryRun(ctx, group, id)
}

// finishedRun reads a run that is final, from the history or the dead letters.
func (s *Store) finishedRun(ctx context.Context, p Partition, id string) (Run, error) {
	run, err := s.Run(ctx, p.Group, id)
	if err != nil {
		dead, deadErr := s.deadRun(ctx, p, id)
		if deadErr != nil || dead == nil {
			return Run{}, err
		}
		run = *dead
	}
	if !run.Status.Final() {
		return Run{}, fmt.Errorf("run %s: %w: it is %s", id, ErrNotEnded, run.Status)
	}
	return run, nil
}
