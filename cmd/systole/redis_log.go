package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// redisLog takes what go-redis says into the log of the process. By itself it would write to standard error, past format,
// level and redaction. It is for the curious: what failed is given to the caller too, who logs it.
type redisLog struct{ *slog.Logger }

// Printf implements the interface of redis.SetLogger.
func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.DebugContext(ctx, fmt.Sprintf(format, args...))
}

// setRedisLog sets the one logger that go-redis has in a process.
func setRedisLog(logger *slog.Logger) { redis.SetLogger(redisLog{logger}) }
