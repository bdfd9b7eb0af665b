package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// oldestRedis is the first major version whose scripts may write after reading the clock without further ado, and which
// the tests run against.
const oldestRedis = 7

// Check is for start-up: it inspects Redis, and records the deployment's number of partitions and format.
func (s *Store) Check(ctx context.Context) (warnings []string, err error) {
	if warnings, err = s.Inspect(ctx); err != nil {
		return warnings, err
	}
	return warnings, s.record(ctx)
}

// Inspect reports what about this Redis makes running on it wrong (err) or risky (warnings, each naming what is at
// stake). It changes nothing: a newer program may look at a deployment of older ones.
func (s *Store) Inspect(ctx context.Context) (warnings []string, err error) {
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	info, err := s.info(ctx)
	if err != nil {
		warnings = append(warnings, fmt.Sprintf("INFO is not allowed or not known (%v): version, eviction and persistence are unchecked", err))
	}
	if version := info["redis_version"]; version != "" {
		major, _, _ := strings.Cut(version, ".")
		if n, err := strconv.Atoi(major); err == nil && n < oldestRedis {
			return warnings, fmt.Errorf("redis is version %s, allowed is %d.0 or newer", version, oldestRedis)
		}
	}
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		warnings = append(warnings, fmt.Sprintf("maxmemory-policy is %q: under memory pressure Redis would drop flows and leases; set it to noeviction", policy))
	}
	if info["redis_version"] != "" && info["aof_enabled"] != "1" {
		warnings = append(warnings, "appendonly is off: after a crash of Redis, flows and runs since its last snapshot are gone, and what had run may run again; set appendonly yes")
	}
	_, err = s.agrees(ctx)
	return warnings, err
}

// info reads the fields of INFO that matter here.
func (s *Store) info(ctx context.Context) (map[string]string, error) {
	fields := make(map[string]string)
	for _, section := range []string{"server", "memory", "persistence"} {
		reply, err := s.redis.Info(ctx, section).Result()
		if err != nil {
			return fields, err
		}
		for line := range strings.Lines(reply) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				fields[key] = value
			}
		}
	}
	return fields, nil
}
