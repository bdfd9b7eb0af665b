package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systole-run/systole/store"
)

// buildHello builds the module of examples/wasm, as is said there, into a folder with its flow.
func buildHello(t *testing.T) (dir string) {
	t.Helper()
	flow, err := os.ReadFile("../../examples/wasm/hello.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir = folder(t, map[string]string{"hello.yaml": string(flow)})
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "hello.wasm"), "./examples/wasm")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, text)
	}
	return dir
}

func TestTheExampleOfAModuleRuns(t *testing.T) {
	t.Parallel()
	dir := buildHello(t)
	run(t, nil, "flow", "validate", dir).expect(t, exitFine)
	dev := against(startDev(t, []string{"SYSTOLE_EXECUTOR__WASM__DIR=" + dir}, "--flows", dir))
	run(t, dev, "beat").expect(t, exitFine)
	pollUntil(t, "it has run", func() bool {
		return strings.Contains(run(t, dev, "run", "list", "--status", "success").expect(t, exitFine).out, "hello-wasm~")
	})
	id := strings.TrimSpace(run(t, dev, "flow", "run", "hello-wasm", "--params", `{"name":"Ada"}`).expect(t, exitFine).out)
	settle(t, dev, id)
	run(t, dev, "run", "show", id).expect(t, exitFine, "hello Ada, time 2")
}

func TestAModuleThatCannotRunIsRefusedWhereItCanBeRead(t *testing.T) {
	t.Parallel()
	flow := "name: broken\nwasm: {module: broken.wasm}\n"
	dir := folder(t, map[string]string{"broken.yaml": flow, "broken.wasm": "no module"})
	elsewhere := folder(t, map[string]string{"broken.yaml": flow})
	dev := against(startDev(t, []string{"SYSTOLE_EXECUTOR__WASM__DIR=" + dir}))
	for _, args := range [][]string{{"flow", "validate", dir}, {"flow", "apply", "-f", dir}} {
		run(t, dev, args...).expect(t, exitFailed, filepath.Join(dir, "broken.yaml")+":1:1: wasm.module", "no valid module")
	}
	run(t, dev, "flow", "validate", elsewhere).expect(t, exitFine)
	run(t, dev, "flow", "apply", "-f", elsewhere).expect(t, exitFailed, "flows[0].wasm", "no valid module")
}

// Where nobody could know earlier, the run fails at once.
func TestARunOfAModuleThatIsMissingFailsForGood(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.putFlow(store.DataFlow{Name: "missing", WASM: &store.WASMSpec{Module: "missing.wasm"}, Retry: &store.Retry{Attempts: 5}})
	s.worker("w1", "SYSTOLE_EXECUTOR__WASM__DIR="+s.dir).awaitReady()
	s.publish("")
	s.settled(1)
	runs := s.runs(store.RunFilter{})
	if len(runs) != 1 || runs[0].Reason != store.ReasonRefused || !strings.Contains(runs[0].Error, "missing.wasm: ") {
		t.Errorf("the runs are %+v", runs)
	}
}
