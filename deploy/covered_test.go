package deploy_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
)

// proofs name for each file that a stranger copies, or folder of such files, a test that starts a server of it, runs it or
// holds it against what reads it, and where that test is.
var proofs = map[string]struct{ test, in string }{
	"Dockerfile":                          {"TestComposeRunsEverySlotWhateverFails", "test/compose_test.go"},
	"certs.sh":                            {"TestRolesTalkToNATSAndRedisOverTLS", "../cmd/systole/e2e_deployed_test.go"},
	"compose.tls.yml":                     {"TestComposeRunsEverySlotWhateverFails", "test/compose_test.go"},
	"console.yaml":                        {"TestComposeRunsEverySlotWhateverFails", "test/compose_test.go"},
	"flows/":                              {"TestFlowsThatComeAlongAreValid", "deploy_test.go"},
	"gateway.yaml":                        {"TestComposeRunsEverySlotWhateverFails", "test/compose_test.go"},
	"kubernetes/":                         {"TestWhatPodsNameIsThere", "kubernetes/test/manifest_test.go"},
	"nats/nats.conf":                      {"TestNATSSyncsWhatItAcknowledgesAndBoundsTheAccount", "nats_test.go"},
	"nats/accounts.conf":                  {"TestAUserOfNATSMayDoWhatItsRoleDoesAndNothingBeside", "nats_test.go"},
	"nats/nats-tls.conf":                  {"TestComposeRunsEverySlotWhateverFails", "test/compose_test.go"},
	"nats/tls.conf":                       {"TestRolesTalkToNATSAndRedisOverTLS", "../cmd/systole/e2e_deployed_test.go"},
	"nats/cluster.conf":                   {"TestHeartbeatsAndRunNowsOutliveAServerOfTheCluster", "../cmd/systole/e2e_deployed_test.go"},
	"nats/node.conf":                      {"TestTheNodeOfTheClusterIsOneOfItsRoutes", "covered_test.go"},
	"nats/kustomization.yaml":             {"TestTheServersAreAsTheirFilesSay", "kubernetes/test/users_test.go"},
	"observability/compose.yml":           {"TestTheComposeOverlayFitsTheStack", "observability/compose_test.go"},
	"observability/dashboard.json":        {"TestEveryQueryOfTheDashboardParses", "observability/promtool_test.go"},
	"observability/grafana/":              {"TestTheComposeOverlayFitsTheStack", "observability/compose_test.go"},
	"observability/kustomization.yaml":    {"TestTheRulesAreThoseOfTheObservabilityFolder", "kubernetes/test/custom_test.go"},
	"observability/otel-collector.yaml":   {"TestEachPipelineOfTheCollectorIsOfWhatItHas", "observability/collector_test.go"},
	"observability/podmonitor.yaml":       {"TestTheRulesAreThoseOfTheObservabilityFolder", "kubernetes/test/custom_test.go"},
	"observability/prometheus.yml":        {"TestComposeRunsEverySlotWhateverFails", "test/compose_test.go"},
	"observability/rules.kubernetes.yaml": {"TestTheRulesAreThoseOfTheObservabilityFolder", "kubernetes/test/custom_test.go"},
	"observability/rules.yml":             {"TestTheAlertsDoWhatTheirTestsSay", "observability/promtool_test.go"},
	"observability/rules_test.yml":        {"TestTheAlertsDoWhatTheirTestsSay", "observability/promtool_test.go"},
	"redis/redis.conf":                    {"TestRedisKeepsWhatItAnsweredAndEvictsNothing", "redis_test.go"},
	"redis/users.acl.template":            {"TestAUserOfRedisMayDoWhatItsRoleDoesAndNothingBeside", "redis_test.go"},
	"redis/tls.conf":                      {"TestRolesTalkToNATSAndRedisOverTLS", "../cmd/systole/e2e_deployed_test.go"},
	"redis/cluster.conf":                  {"TestTheStoreWorksOnACluster", "../store/topology_test.go"},
	"redis/kustomization.yaml":            {"TestTheServersAreAsTheirFilesSay", "kubernetes/test/users_test.go"},
	"redis/replication.conf":              {"TestTheStoreFollowsSentinelsToTheNewMaster", "../store/topology_test.go"},
	"redis/sentinel.conf.template":        {"TestTheStoreFollowsSentinelsToTheNewMaster", "../store/topology_test.go"},
	"redis/sentinel.acl.template":         {"TestNobodyTellsASentinelWhatToDoWithoutAPassword", "../store/topology_test.go"},
	"scheduler/":                          {"TestComposeRunsEverySlotWhateverFails", "test/compose_test.go"},
	"systemd/":                            {"TestTheUnitsOfTheRolesAreValid", "systemd_test.go"},
	"secrets.sh":                          {"TestSecretsAreRandomAndStayWhenTheyAreThere", "deploy_test.go"},
}

// R4.4: nothing is given to a stranger that no test has tried.
func TestEachFileHereIsTriedByATest(t *testing.T) {
	t.Parallel()
	unused := maps.Clone(proofs)
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		ignored := path == "secrets" || path == "certs" || path == "test" || path == "kubernetes/test" // made, or tests themselves
		switch {
		case err != nil:
			return err
		case entry.IsDir() && ignored:
			return fs.SkipDir
		case entry.IsDir() || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "README.md"):
			return nil
		}
		name := path
		if _, found := proofs[name]; !found {
			for folder := range proofs {
				if strings.HasSuffix(folder, "/") && strings.HasPrefix(path, folder) {
					name = folder
				}
			}
		}
		proof, found := proofs[name]
		if !found {
			t.Errorf("%s: found no test that tries it", path)
			return nil
		}
		delete(unused, name)
		if !strings.Contains(readAll(t, filepath.Clean(proof.in)), "func "+proof.test+"(") {
			t.Errorf("%s: %s has no %s", path, proof.in, proof.test)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range unused {
		t.Errorf("%s is not there any more", name)
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
