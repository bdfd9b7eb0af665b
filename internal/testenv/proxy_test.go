package testenv_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/testenv"
)

func proxied(t *testing.T) (*testenv.Proxy, *redis.Client, *redis.Client) {
	t.Helper()
	server := testenv.StartRedis(t)
	proxy := testenv.StartProxy(t, server.Addr)
	through := redis.NewClient(&redis.Options{Addr: proxy.Addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	direct := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _, _ = through.Close(), direct.Close() })
	return proxy, through, direct
}

func TestCutLosesTheAnswerOfARequestThatWasCarriedOut(t *testing.T) {
	t.Parallel()
	proxy, through, direct := proxied(t)
	ctx := context.Background()
	if err := through.Set(ctx, "a", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
	done := proxy.Cut("incr")
	if err := through.Get(ctx, "a").Err(); err != nil {
		t.Fatalf("another request was cut: %v", err)
	}
	if err := through.Incr(ctx, "a").Err(); err == nil {
		t.Fatal("the answer came")
	}
	<-done
	if got := direct.Get(ctx, "a").Val(); got != "2" {
		t.Fatalf("a is %s, want 2", got)
	}
	if err := through.Incr(ctx, "a").Err(); err != nil {
		t.Fatalf("the request after the one that was cut: %v", err)
	}
}

func TestBlackholeHoldsTrafficUpUntilItEnds(t *testing.T) {
	t.Parallel()
	proxy, through, _ := proxied(t)
	if err := through.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	proxy.Blackhole(true)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := through.Ping(ctx).Err(); err == nil {
		t.Fatal("a ping was answered out of a black hole")
	}
	proxy.Blackhole(false)
	if err := through.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestDelayHoldsEachAnswerBack(t *testing.T) {
	t.Parallel()
	proxy, through, _ := proxied(t)
	if err := through.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	const delay = 60 * time.Millisecond
	proxy.Delay(delay)
	began := time.Now()
	if err := through.Ping(context.Background()).Err(); err != nil || time.Since(began) < delay {
		t.Fatalf("answered after %s, %v", time.Since(began), err)
	}
}

func TestSeverClosesConnectionsAndLetsNewOnesIn(t *testing.T) {
	t.Parallel()
	proxy, through, _ := proxied(t)
	one := through.Conn()
	defer one.Close()
	if err := one.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	proxy.Sever()
	if err := one.Ping(context.Background()).Err(); err == nil {
		t.Fatal("a severed connection answered")
	}
	if err := through.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}
