package deploy_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/testenv"
)

// redisUser is what a user of deploy/redis/users.acl.template may do, and what stands beside it that it may not.
type redisUser struct{ may, mayNot []string }

// meddling is what no process of Systole needs.
var meddling = []string{
	"FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0", "CONFIG GET requirepass", "CONFIG SET appendonly no", "DEBUG SLEEP 0", "ACL LIST", "ACL WHOAMI", "ACL SETUSER x",
	"SHUTDOWN NOSAVE", "SAVE", "BGREWRITEAOF", "REPLICAOF NO ONE", "MONITOR", "CLIENT LIST", "CLIENT KILL ID 1", "MODULE LIST", "SCRIPT FLUSH",
	"FUNCTION LIST", "SUBSCRIBE x", "PUBLISH x y", "DEL systole:a", "RENAME systole:a systole:b", "SWAPDB 0 1", "MIGRATE h 1 systole:a 0 1", "SELECT 1", "EVAL redis.call('flushall') 0",
	"EVAL redis.call('hset',KEYS[1],'a','b') 1 other:a", "EVAL redis.call('hset','other:a','a','b') 0", "HGET other:a b", "HSET systol a b",
}

var redisUsers = map[string]redisUser{
	"worker":  {[]string{"PING", "INFO server", "HSET systole:a b c", "ZADD systole:z 1 a", "EVAL redis.call('hset',KEYS[1],'a','b') 1 systole:a"}, append([]string{"HKEYS systole:a", "SADD systole:s a"}, meddling...)},
	"console": {[]string{"PING", "INFO server", "HKEYS systole:a", "SADD systole:s a", "EVAL redis.call('hset',KEYS[1],'a','b') 1 systole:a"}, meddling},
	"monitor": {[]string{"PING", "INFO", "LATENCY LATEST", "CLIENT SETNAME exporter", "LATENCY HISTORY command"}, append([]string{"HGET systole:a b", "LATENCY RESET", "SLOWLOG GET"}, meddling...)},
	"replica": {[]string{"PING", "REPLCONF listening-port 1"}, append([]string{"HGET systole:a b", "INFO"}, meddling...)},
	"sentinel": {
		[]string{"PING", "INFO", "ROLE", "PUBLISH __sentinel__:hello x", "SLAVEOF NO ONE"},
		append([]string{"HGET systole:a b"}, slices.DeleteFunc(slices.Clone(meddling), func(c string) bool { return c == "CLIENT KILL ID 1" })...),
	},
	"operator": {[]string{"PING", "KEYS *", "ACL LIST", "CONFIG GET appendfsync", "HGET other:a b"}, nil},
}

// denial is how Redis refuses: by the user's rights, in a script in other words, and DEBUG to everybody before it looks at those.
var denial = regexp.MustCompile(`^NOPERM|The user executing the script can't|ACL failure in script|^ERR DEBUG command not allowed`)

// R2.5
func TestAUserOfRedisMayDoWhatItsRoleDoesAndNothingBeside(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	server := d.StartRedis(t)
	for user, rights := range redisUsers {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			client := d.Redis(t, server, user)
			for _, command := range rights.may {
				if err := do(t, client, command); err != nil {
					t.Errorf("%s: got %v, want no error", command, err)
				}
			}
			for _, command := range rights.mayNot {
				if err := do(t, client, command); err == nil || !denial.MatchString(err.Error()) {
					t.Errorf("%s: got %v, want NOPERM", command, err)
				}
			}
		})
	}
}

func do(t *testing.T, client *redis.Client, command string) error {
	t.Helper()
	var args []any
	for _, arg := range strings.Fields(command) {
		args = append(args, arg)
	}
	if script, rest, found := strings.Cut(strings.TrimPrefix(command, "EVAL "), ") "); found {
		args = []any{"EVAL", script + ")"}
		for _, arg := range strings.Fields(rest) {
			args = append(args, arg)
		}
	}
	err := client.Do(t.Context(), args...).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func TestRedisLetsNobodyInWithoutAPassword(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	server := d.StartRedis(t)
	for name, options := range map[string]redis.Options{
		"nobody": {}, "default": {Username: "default", Password: "x"}, "no password": {Username: "worker", Password: "x"},
		"another's": {Username: "worker", Password: d.Secret(t, "redis_console_password")},
	} {
		options.Addr = server.Addr
		client := redis.NewClient(&options)
		if err := client.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") && !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("%s: got %v", name, err)
		}
		_ = client.Close()
	}
}

// What is written in a transaction, as scripts write, is there after a restart: Redis 7.0 loads it in the name of the user default.
func TestARestartOfRedisKeepsWhatScriptsWrote(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	server := d.StartRedis(t)
	worker := d.Redis(t, server, "worker")
	if err := do(t, worker, "EVAL redis.call('hset',KEYS[1],'a','b')redis.call('hset',KEYS[2],'a','b') 2 systole:x systole:y"); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"systole:x", "systole:y"} {
		if got, err := d.Redis(t, server, "worker").HGet(t.Context(), key, "a").Result(); got != "b" {
			t.Errorf("%s: got %q and %v", key, got, err)
		}
	}
}

func TestRedisKeepsWhatItAnsweredAndEvictsNothing(t *testing.T) {
	t.Parallel()
	d := testenv.Deploy(t)
	operator := d.Redis(t, d.StartRedis(t), "operator")
	for name, want := range map[string]string{
		"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "protected-mode": "yes", "save": "",
		"enable-debug-command": "no", "enable-module-command": "no", "enable-protected-configs": "no",
	} {
		if got, err := operator.ConfigGet(t.Context(), name).Result(); err != nil || got[name] != want {
			t.Errorf("%s: got %v and %v, want %q", name, got, err, want)
		}
	}
}
