package executor_test

import (
	"strings"
	"testing"

	"github.com/systole-run/systole/executor"
)

// Under `set -u` a script could else not ask for what a run may be without.
func TestEveryNameOfTheEnvironmentIsThereThoughItsValueMayBeEmpty(t *testing.T) {
	t.Parallel()
	env := map[string]bool{}
	for _, entry := range (executor.Task{}).Environment() {
		name, _, _ := strings.Cut(entry, "=")
		env[name] = true
	}
	for _, name := range []string{
		"SYSTOLE_FLOW", "SYSTOLE_GROUP", "SYSTOLE_RUN_ID", "SYSTOLE_OCCURRENCE_ID", "SYSTOLE_SLOT", "SYSTOLE_ATTEMPT",
		"SYSTOLE_TOKEN", "SYSTOLE_DEADLINE", "SYSTOLE_WORKER", "SYSTOLE_CURSOR", "TRACEPARENT",
	} {
		if !env[name] {
			t.Errorf("%s is not there", name)
		}
	}
}
