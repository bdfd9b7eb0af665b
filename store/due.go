package store

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// DueToRun is the one definition of due: what comes due at dueAt is due to run as of asOf, unless that is later.
// Both are whole milliseconds. due_to_run in lua/lib.lua is the same comparison over the due set, where scripts claim
// and count.
func DueToRun(dueAt, asOf time.Time) bool { return dueAt.UnixMilli() <= asOf.UnixMilli() }

// DueToRun lists the names of the flows of a partition that a heartbeat as of asOf would run, the longest due first.
func (s *Store) DueToRun(ctx context.Context, p Partition, asOf time.Time, limit int) ([]string, error) {
	names, err := s.redis.ZRangeByScore(ctx, s.key(p, "due"), &redis.ZRangeBy{
		Min: "-inf", Max: strconv.FormatInt(asOf.UnixMilli(), 10), Count: int64(pageSize(limit)),
	}).Result()
	return names, translate(err)
}
