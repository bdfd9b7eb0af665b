package store

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ConnConfig says how to reach Redis. One URL is a single server; several are a Cluster, or with Master the Sentinels
// that watch over that master.
type ConnConfig struct {
	URLs     []string // redis:// or rediss://, with optional user, password and /db
	Master   string
	Username string // where set, wins over the URL's
	Password string
	TLS      *tls.Config   // nil for plain connections, unless a URL says rediss
	Name     string        // shown by CLIENT LIST
	PoolSize int           // default go-redis' own
	Timeout  time.Duration // for one answer; default 5s
}

// Connect makes a client; it does not wait for Redis to answer. The client does not repeat calls by itself: Store does,
// in a way that takes nothing twice.
func Connect(cfg ConnConfig) (redis.UniversalClient, error) {
	if len(cfg.URLs) == 0 {
		return nil, fmt.Errorf("redis.url: found nothing, allowed is one or more of redis://host:port")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	options := &redis.UniversalOptions{
		MasterName: cfg.Master, ClientName: cfg.Name, PoolSize: cfg.PoolSize, TLSConfig: cfg.TLS,
		// Neither is needed, and users with few rights would be refused both: the client's version, and Redis' word of upgrades.
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries: -1, ContextTimeoutEnabled: true, DialTimeout: 3 * time.Second, ReadTimeout: cfg.Timeout,
	}
	for i, address := range cfg.URLs {
		parsed, err := redis.ParseURL(address)
		if err != nil {
			return nil, fmt.Errorf("redis.url %d: %w", i+1, hideURL(err))
		}
		options.Addrs = append(options.Addrs, parsed.Addr)
		if i == 0 {
			options.DB, options.Username, options.Password = parsed.DB, parsed.Username, parsed.Password
		}
		if options.TLSConfig == nil {
			options.TLSConfig = parsed.TLSConfig
		}
	}
	if cfg.Username != "" {
		options.Username = cfg.Username
	}
	if cfg.Password != "" {
		options.Password = cfg.Password
	}
	return redis.NewUniversalClient(options), nil
}

// hideURL keeps an address, which may hold a password, out of an error.
func hideURL(error) error { return fmt.Errorf("it is not a redis:// or rediss:// address") }
