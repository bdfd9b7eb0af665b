package store

import (
	"context"
	"fmt"
	"strconv"
)

// format is the version of how data lie in Redis. It is raised only by a change with which an older binary would do damage; a
// new field that older ones ignore is none. A binary reads its own format and all older ones.
const format = 1

// record writes down what all programs of the deployment have to agree on: the format of the data, which it raises, and the
// number of partitions, which stays. It fails as agrees does. A deployment from before formats were recorded has format 1.
func (s *Store) record(ctx context.Context) error {
	key := s.deploymentKey()
	for field, value := range map[string]int{"format": format, "partitions": s.cfg.Partitions} {
		if err := s.redis.HSetNX(ctx, key, field, value).Err(); err != nil {
			return translate(err)
		}
	}
	older, err := s.agrees(ctx)
	if err != nil || !older {
		return err
	}
	return translate(s.redis.HSet(ctx, key, "format", format).Err())
}

// agrees holds what is recorded against this program and its settings: ErrFormat where the data are of a newer format,
// ErrPartitions where the number of partitions is another. older reports a format that this program would raise.
func (s *Store) agrees(ctx context.Context) (older bool, err error) {
	recorded, err := s.redis.HMGet(ctx, s.deploymentKey(), "format", "partitions").Result()
	if err != nil {
		return false, translate(err)
	}
	if text, there := recorded[0].(string); there {
		n, err := strconv.Atoi(text)
		if err != nil || n > format {
			return false, fmt.Errorf("%w: recorded is %q, this program knows up to %d; start a newer one, or restore a copy of Redis from before the upgrade",
				ErrFormat, text, format)
		}
		older = n < format
	}
	if text, there := recorded[1].(string); there && text != strconv.Itoa(s.cfg.Partitions) {
		return false, fmt.Errorf("%w: redis.partitions is %d, recorded is %s", ErrPartitions, s.cfg.Partitions, text)
	}
	return older, nil
}
