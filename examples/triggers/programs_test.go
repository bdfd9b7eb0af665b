//go:build triggers

package triggers_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// python is Debian's, which has Debian's Django.
const python = "/usr/bin/python3"

func TestTheScriptInPythonPublishesAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	if out := g.command(nil, python, "nats-publish/heartbeat.py", g.name); !strings.HasPrefix(out, "stored in SYSTOLE_BEATS as ") {
		t.Errorf("it says %q", out)
	}
	g.ran("heartbeat.py")
	deployed := testenv.Deploy(t)
	server := deployed.StartNATS(t)
	refused := []string{"NATS_URL=" + server.URL, "NATS_USER=scheduler", "NATS_PASSWORD=wrong", "NATS_INBOX_PREFIX=_INBOX.scheduler"}
	if out, err := g.try(refused, python, "nats-publish/heartbeat.py"); err == nil || !strings.Contains(out, "Authorization Violation") {
		t.Errorf("with a wrong password it says %v, %q", err, out)
	}
	if out, err := g.try([]string{"NATS_URL=nats://127.0.0.1:1"}, python, "nats-publish/heartbeat.py"); err == nil || !strings.Contains(out, "refused") {
		t.Errorf("without a server it says %v, %q", err, out)
	}
	if out, err := g.try(nil, python, "nats-publish/heartbeat.py", "no.such.group"); err == nil || !strings.Contains(out, "no stream takes systole.beat.no.such.group") {
		t.Errorf("for a subject without a stream it says %v, %q", err, out)
	}
}

// The commands are those of the pages.
func TestTheCommandOfNATSPublishesAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	for _, line := range codeLines(t, "nats-publish/README.md", "nats req ", "nats pub ") {
		g.command(nil, "sh", "-c", strings.ReplaceAll(line, "systole.beat.default", "systole.beat."+g.name))
	}
	g.ran("nats")
}

func TestTheCommandOfNATSSetsASchedule(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	lines := codeLines(t, "nats-schedule/README.md", "nats stream edit ", "nats pub ", "nats stream purge ")
	for i, line := range lines {
		line = strings.NewReplacer("beat.default", "beat."+g.name, "clock-default", "clock-"+g.name, "@every 1m", "@every 1s").Replace(line)
		g.command(nil, "sh", "-c", line)
		if i == 1 {
			g.ran("nats-schedule")
		}
	}
}

// R4.5
func TestTheRakeTaskSendsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	if out := g.command(nil, "rake", "-f", "rails/systole.rake", "systole:heartbeat"); !strings.Contains(out, `"status":"settled"`) {
		t.Errorf("it says %s", out)
	}
	g.ran("rake")
	g.command(nil, "sh", "-n", "rails/post-deploy")
}

func TestTheRakeTaskTellsWhatFailed(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.putFailing()
	if out, err := g.try(nil, "rake", "-f", "rails/systole.rake", "systole:heartbeat"); err == nil || !strings.Contains(out, "heartbeat: 1 runs failed") {
		t.Errorf("it ends with %v: %s", err, out)
	}
	empty := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(empty, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := g.try([]string{"HEARTBEAT_TOKEN_FILE=" + empty}, "rake", "-f", "rails/systole.rake", "systole:heartbeat"); err == nil || !strings.Contains(out, "heartbeat: 401 ") {
		t.Errorf("with a wrong token it ends with %v: %s", err, out)
	}
}

func (g group) putFailing() {
	g.t.Helper()
	flow := store.DataFlow{Name: "failing", Group: g.name, Every: store.Duration(3600e9), Exec: &store.ExecSpec{Command: []string{"false"}}}
	if _, err := g.store.PutFlow(g.t.Context(), flow); err != nil {
		g.t.Fatal(err)
	}
}

func TestTheManagementCommandSendsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	project := t.TempDir()
	commands := filepath.Join(project, "yourapp", "management", "commands")
	if err := os.MkdirAll(commands, 0o700); err != nil {
		t.Fatal(err)
	}
	const manage = `import sys
from django.conf import settings
from django.core.management import execute_from_command_line
settings.configure(INSTALLED_APPS=["yourapp"])
execute_from_command_line(sys.argv)
`
	for file, content := range map[string]string{
		filepath.Join(project, "manage.py"): manage, filepath.Join(project, "yourapp", "__init__.py"): "",
		filepath.Join(commands, "heartbeat.py"): read(t, "django/heartbeat.py"),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	manager := filepath.Join(project, "manage.py")
	if out := g.command(nil, python, manager, "heartbeat", "--group", g.name); !strings.Contains(out, `"status": "settled"`) {
		t.Errorf("it says %s", out)
	}
	g.ran("django")
	if out := g.command(nil, python, manager, "heartbeat", "--group", g.name, "--wait", "0"); !strings.Contains(out, `"status": "accepted"`) {
		t.Errorf("without waiting it says %s", out)
	}
	g.putFailing()
	if out, err := g.try(nil, python, manager, "heartbeat", "--group", g.name); err == nil || !strings.Contains(out, "1 runs failed") {
		t.Errorf("it ends with %v: %s", err, out)
	}
	if out, err := g.try([]string{"GATEWAY_URL=http://127.0.0.1:1"}, python, manager, "heartbeat"); err == nil || !strings.Contains(out, "cannot be reached") {
		t.Errorf("without a gateway it ends with %v: %s", err, out)
	}
}
