package embedded

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// expiryTick is how often keys with a time to live are looked at: miniredis lets no time pass by itself.
const expiryTick = time.Second

// RedisServer is a miniredis in this process.
type RedisServer struct {
	redis *miniredis.Miniredis
	stop  chan struct{}
	done  chan struct{}
	once  sync.Once
}

// Redis starts a server on a free port on loopback.
func Redis() (*RedisServer, error) {
	s := &RedisServer{redis: miniredis.NewMiniRedis(), stop: make(chan struct{}), done: make(chan struct{})}
	if err := s.redis.Start(); err != nil {
		return nil, fmt.Errorf("start embedded Redis: %w", err)
	}
	go s.expire()
	return s, nil
}

// URL is the server's address as redis.url takes it.
func (s *RedisServer) URL() string { return "redis://" + s.redis.Addr() }

// Close ends the server. What it held is gone.
func (s *RedisServer) Close() {
	s.once.Do(func() {
		close(s.stop)
		<-s.done
		s.redis.Close()
	})
}

func (s *RedisServer) expire() {
	defer close(s.done)
	ticker := time.NewTicker(expiryTick)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.redis.FastForward(expiryTick)
		}
	}
}
