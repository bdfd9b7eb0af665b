package embedded

import (
	"fmt"
	"sync"

	"github.com/alicebob/miniredis/v2"
)

// RedisServer is a miniredis in this process.
type RedisServer struct {
	redis *miniredis.Miniredis
	once  sync.Once
}

// Redis starts a server on a free port on loopback. Its TIME and its times to live follow the clock of this machine.
func Redis() (*RedisServer, error) {
	s := &RedisServer{redis: miniredis.NewMiniRedis()}
	s.redis.ClockTTL(true) // by itself miniredis lets no time pass
	if err := s.redis.Start(); err != nil {
		return nil, fmt.Errorf("start embedded Redis: %w", err)
	}
	return s, nil
}

// URL is the server's address as redis.url takes it.
func (s *RedisServer) URL() string { return "redis://" + s.redis.Addr() }

// Close ends the server. What it held is gone. It may be called again.
func (s *RedisServer) Close() { s.once.Do(s.redis.Close) }
