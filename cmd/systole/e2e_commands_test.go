package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systole-run/systole/store"
)

// R1.2 R1.3 R6.3 R6.5
func TestCommandsApplyFlowsSendAHeartbeatAndShowWhatRan(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.workers(1, 2)
	gateway, console := s.gateway(), s.start("console", "console", "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0")
	console.awaitReady()
	files := t.TempDir()
	writeFlow(t, files, "good", "prints", "echo from $SYSTOLE_OCCURRENCE_ID")
	writeFlow(t, files, "bad", "fails", "exit 3")
	api := "SYSTOLE_SERVER=" + console.url("console")

	s.command(exitFine, []string{"flow", "apply", "-f", files}, api)
	answer := s.command(exitFailed, []string{"beat", "--wait", "1m"}, "SYSTOLE_GATEWAY="+gateway.url("gateway")+"/heartbeat")
	for _, part := range []string{`"flows_due":2`, `"succeeded":1`, `"failed":1`} {
		if !strings.Contains(answer, part) {
			t.Errorf("systole beat gave %s, want %s in it", answer, part)
		}
	}
	var list struct{ Runs []store.Run }
	if err := json.Unmarshal([]byte(s.command(exitFine, []string{"run", "list", "--flow", "good", "-o", "json"}, api)), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Runs) != 1 || list.Runs[0].Status != store.StatusSuccess {
		t.Fatalf("systole run list gave %+v", list)
	}
	good := list.Runs[0]
	if log := s.command(exitFine, []string{"run", "logs", good.ID}, api); log != "from "+good.OccurrenceID {
		t.Errorf("systole run logs gave %q", log)
	}

	// Nothing is applied where one file is wrong.
	writeFlow(t, files, "fine", "new", "true")
	if err := os.WriteFile(filepath.Join(files, "wrong.yaml"), []byte("name: wrong\nevery: often\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.command(exitFailed, []string{"flow", "apply", "-f", files}, api)
	if _, err := s.store.Flow(t.Context(), store.DefaultGroup, "fine"); err == nil {
		t.Error("half of a folder was applied")
	}
}

// command runs systole to its end and gives what it printed.
func (s *stand) command(status int, args []string, settings ...string) string {
	s.t.Helper()
	d := spawn(s.t, "systole "+args[0], args, settings...)
	if got := d.status(); got != status {
		s.t.Errorf("systole %s: exit status %d, want %d: %s", strings.Join(args, " "), got, status, strings.Join(d.stderr, "\n"))
	}
	return d.output()
}
