package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
)

// proofs name for each file that a stranger copies a test that starts a server of it, and where that test is.
var proofs = map[string]struct{ test, in string }{
	"nats/nats.conf":               {"TestNATSSyncsWhatItAcknowledgesAndBoundsTheAccount", "nats_test.go"},
	"nats/accounts.conf":           {"TestAUserOfNATSMayDoWhatItsRoleDoesAndNothingBeside", "nats_test.go"},
	"nats/tls.conf":                {"TestRolesTalkToNATSAndRedisOverTLS", "../cmd/systole/e2e_deployed_test.go"},
	"nats/cluster.conf":            {"TestHeartbeatsAndRunNowsOutliveAServerOfTheCluster", "../cmd/systole/e2e_deployed_test.go"},
	"nats/node.conf":               {"TestTheNodeOfTheClusterIsOneOfItsRoutes", "covered_test.go"},
	"redis/redis.conf":             {"TestRedisKeepsWhatItAnsweredAndEvictsNothing", "redis_test.go"},
	"redis/users.acl.template":     {"TestAUserOfRedisMayDoWhatItsRoleDoesAndNothingBeside", "redis_test.go"},
	"redis/tls.conf":               {"TestRolesTalkToNATSAndRedisOverTLS", "../cmd/systole/e2e_deployed_test.go"},
	"redis/cluster.conf":           {"TestTheStoreWorksOnACluster", "../store/topology_test.go"},
	"redis/replication.conf":       {"TestTheStoreFollowsSentinelsToTheNewMaster", "../store/topology_test.go"},
	"redis/sentinel.conf.template": {"TestTheStoreFollowsSentinelsToTheNewMaster", "../store/topology_test.go"},
	"redis/sentinel.acl.template":  {"TestNobodyTellsASentinelWhatToDoWithoutAPassword", "../store/topology_test.go"},
}

func TestEachFileForNATSAndRedisIsStartedByATest(t *testing.T) {
	t.Parallel()
	var files []string
	for _, folder := range []string{"nats", "redis"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			files = append(files, folder+"/"+entry.Name())
		}
	}
	for _, file := range files {
		proof, found := proofs[file]
		if !found {
			t.Errorf("%s: found no test that starts a server of it", file)
			continue
		}
		if !strings.Contains(readAll(t, filepath.Clean(proof.in)), "func "+proof.test+"(") {
			t.Errorf("%s: %s has no %s", file, proof.in, proof.test)
		}
	}
	for file := range proofs {
		if !slices.Contains(files, file) {
			t.Errorf("%s is not there any more", file)
		}
	}
}

// node.conf is that of the first machine; the end-to-end test writes one for each.
func TestTheNodeOfTheClusterIsOneOfItsRoutes(t *testing.T) {
	t.Parallel()
	server := testenv.Deploy(t).StartNATS(t, "include node.conf")
	if !strings.Contains(readAll(t, "nats/cluster.conf"), "nats-route://"+server.Name()+":6222") {
		t.Errorf("%s is none of the routes", server.Name())
	}
}

// readAll gives the content of the files that match a pattern; * stands for no tests.
func readAll(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		if strings.Contains(pattern, "*") && strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
