package store

import (
	"context"
	"fmt"
	"strconv"
)

// format is the version of how data lie in Redis. It is raised only by a change with which an older binary would do damage; a
// new field that older ones ignore is none. A binary reads its own format and all older ones.
const format = 1

// claimFormat records the format, or fails with ErrFormat where a newer one is recorded. A deployment from before formats were
// recorded has format 1.
func (s *Store) claimFormat(ctx context.Context) error {
	key := s.deploymentKey()
	if err := s.redis.HSetNX(ctx, key, "format", format).Err(); err != nil {
		return translate(err)
	}
	recorded, err := s.redis.HGet(ctx, key, "format").Result()
	if err != nil {
		return translate(err)
	}
	if n, err := strconv.Atoi(recorded); err != nil || n > format {
		return fmt.Errorf("%w: recorded is %q, this program knows up to %d; start a newer one, or restore a copy of Redis from before the upgrade",
			ErrFormat, recorded, format)
	} else if n < format {
		return translate(s.redis.HSet(ctx, key, "format", format).Err())
	}
	return nil
}
