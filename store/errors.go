package store

import "errors"

// Errors that callers decide on. Errors of Redis are translated where they enter.
var (
	// ErrNotFound: there is no such flow, run or log.
	ErrNotFound = errors.New("not found")
	// ErrStale: the token is not the current one of its occurrence; nothing was written.
	ErrStale = errors.New("token is stale: the lease was lost to another attempt")
	// ErrUnavailable: Redis could not be reached, did not answer in time, or has no memory or disk left. The call may have
	// taken effect; every call of this package is safe to repeat.
	ErrUnavailable = errors.New("redis is unavailable")
	// ErrFormat: Redis holds data of a newer version of Systole, which this one would damage.
	ErrFormat = errors.New("data in Redis is in a format that this version does not know")
	// ErrPartitions: Redis holds data that was written with another number of partitions.
	ErrPartitions = errors.New("number of partitions differs from the one recorded in Redis")
)
