package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/systole-run/systole/store"
)

// R1.2 R1.3 R2.2 R2.4 R3.4 R6.5
func TestDevRunsAFolderOfFlowsWithTheLineThatItPrints(t *testing.T) {
	t.Parallel()
	flows := t.TempDir()
	for i := range 20 {
		writeFlow(t, flows, fmt.Sprintf("good-%d", i), "before", "true")
	}
	writeFlow(t, flows, "bad", "before", "exit 3")
	dev := spawn(t, "dev", []string{"dev", "--flows", flows}, "SYSTOLE_GATEWAY__LISTEN=127.0.0.1:0")

	want := beatAnswer{Group: "default", Status: "settled", FlowsDue: 21, FlowsTriggered: 21, Succeeded: 20, Failed: 1}
	got := runPrinted(t, dev)
	if got.BeatID == "" {
		t.Error("the beat has no id")
	}
	got.BeatID = ""
	if got != want {
		t.Errorf("first beat: got %+v, want %+v", got, want)
	}
	response, next := sendBeat(t, http.MethodGet, dev.url("dev")+"/heartbeat?wait=1m")
	if response.StatusCode != http.StatusOK || next.Status != "settled" || next.FlowsDue != 0 || next.FlowsTriggered != 0 {
		t.Errorf("next beat: got %s %+v", response.Status, next)
	}
	var bad struct{ Runs []store.Run }
	getJSON(t, dev.url("dev")+"/api/v1/runs?flow=bad", &bad)
	if len(bad.Runs) != 1 || bad.Runs[0].Reason != store.ReasonError || !strings.Contains(bad.Runs[0].Error, "exit code 3") {
		t.Errorf("the flow that fails: %+v", bad.Runs)
	}
}

func TestDevAppliesWhatChangesInItsFolder(t *testing.T) {
	t.Parallel()
	flows := t.TempDir()
	writeFlow(t, flows, "orders", "before", "true")
	dev := spawn(t, "dev", []string{"dev", "--flows", flows}, "SYSTOLE_GATEWAY__LISTEN=127.0.0.1:0")
	runPrinted(t, dev)

	writeFlow(t, flows, "orders", "after", "true")
	writeFlow(t, flows, "invoices", "new", "true")
	for flow, description := range map[string]string{"orders": "after", "invoices": "new"} {
		pollUntil(t, flow+" is applied", func() bool {
			var view store.FlowView
			status := getJSON(t, dev.url("dev")+"/api/v1/flows/"+flow, &view)
			return status == http.StatusOK && view.Description == description
		})
	}
	if answer := settleBeat(t, dev.url("dev")); answer.FlowsTriggered != 1 || answer.Succeeded != 1 {
		t.Errorf("with a new flow: %+v", answer)
	}
}

func writeFlow(t *testing.T, dir, name, description, script string) {
	t.Helper()
	replace(t, filepath.Join(dir, name+".yaml"), fmt.Sprintf("name: %s\ndescription: %s\nevery: 1h\nexec: {command: [sh, -c, %q]}\n", name, description, script))
}

// replace puts a file into place as editors do: whole, or not at all.
func replace(t *testing.T, path, content string) {
	t.Helper()
	part := path + ".part"
	overwrite(t, part, content)
	if err := os.Rename(part, path); err != nil {
		t.Fatal(err)
	}
}

var printedLine = regexp.MustCompile(`(?m)^\s*(curl .*'(http://[^']*)'.*)$`)

// runPrinted runs the line that dev prints for sending a heartbeat: in a shell where there is a curl, else as curl would.
func runPrinted(t *testing.T, dev *daemon) (answer beatAnswer) {
	t.Helper()
	var line, url string
	pollUntil(t, "dev prints how to send a heartbeat", func() bool {
		found := printedLine.FindStringSubmatch(dev.output())
		if found != nil {
			line, url = found[1], found[2]
		}
		return found != nil
	})
	if _, err := exec.LookPath("curl"); err != nil {
		response, answer := sendBeat(t, http.MethodPost, url)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", line, response.Status)
		}
		return answer
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", line+` --fail --silent --show-error`)
	output, err := shell.Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if err := json.Unmarshal(output, &answer); err != nil {
		t.Fatalf("%s: %v in %q", line, err, output)
	}
	return answer
}

func getJSON(t *testing.T, url string, into any) (status int) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return response.StatusCode
}
