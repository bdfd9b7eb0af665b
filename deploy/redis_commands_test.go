package deploy_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
)

// methods are calls of go-redis that are not named like their command.
var methods = map[string][]string{
	"TxPipeline": {"multi", "exec"}, "TxPipelined": {"multi", "exec"}, "Pipeline": nil, "Exec": nil, "Len": nil,
	"ZRevRangeByScoreWithScores": {"zrevrangebyscore"}, "HMGet": {"hmget"},
}

// connecting is what the client itself says: its name, the script, and in a Cluster where the slots are and that one moves.
var connecting = []string{"asking", "client|setname", "cluster|slots", "command", "eval", "evalsha"}

// onlyConsole is what no worker calls: what puts flows, lists them, and deletes dead letters.
var onlyConsole = []string{"exec", "hkeys", "multi", "sadd", "zmscore"}

// The commands of each user are those that the scripts and the code of the store name: the end-to-end tests, which fail where
// Redis refuses anything, would not come by every line of a script.
func TestTheUsersOfRedisHaveTheCommandsThatTheStoreCalls(t *testing.T) {
	t.Parallel()
	called := map[string]bool{}
	for _, command := range connecting {
		called[command] = true
	}
	inScript := regexp.MustCompile(`(?:redis\.p?call|call_batch)\('([A-Za-z]+)'`)
	for _, found := range inScript.FindAllStringSubmatch(readAll(t, "../store/lua/*.lua"), -1) {
		called[strings.ToLower(found[1])] = true
	}
	inCode := regexp.MustCompile(`\b(?:s\.redis|pipe)\.([A-Z][A-Za-z]+)\(`)
	for _, found := range inCode.FindAllStringSubmatch(readAll(t, "../store/*.go"), -1) {
		commands, known := methods[found[1]]
		if !known {
			commands = []string{strings.ToLower(found[1])}
		}
		for _, command := range commands {
			called[command] = true
		}
	}
	all := slices.Sorted(maps.Keys(called))
	if len(all) < 30 {
		t.Fatalf("found only %v", all)
	}
	acl := readAll(t, testenv.Deploy(t).SecretFile("redis_users.acl"))
	for user, want := range map[string][]string{
		"console": all, "worker": slices.DeleteFunc(slices.Clone(all), func(c string) bool { return slices.Contains(onlyConsole, c) }),
	} {
		rules := regexp.MustCompile(`(?m)^user ` + user + ` on #[0-9a-f]{64} ~systole:\* resetchannels -@all ((?:\+[a-z|]+ ?)+)$`).FindStringSubmatch(acl)
		if rules == nil {
			t.Fatalf("%s has other rules than commands, or none:\n%s", user, acl)
		}
		have := strings.Fields(strings.ReplaceAll(rules[1], "+", ""))
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s may call %v\nthe store calls %v", user, have, want)
		}
	}
}
