//go:build compose

package deploytest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/store"
)

// The load: so many flows, each due every five seconds, with a run for every slot. A run takes three seconds, so that there
// is time to break something meanwhile. It takes three workers to run all flows at once, two to keep up, and one falls behind.
const (
	loadFlows   = 20
	loadEvery   = 5 * time.Second
	workerSlots = 8
)

// loadFlow is one flow. A run that comes to its end leaves a line with its slot, who ran it and when.
const loadFlow = `name: load-%02d
every: %s
timeout: 30s
catchup: all
catchup_limit: 1000
exec:
  command: [sh, -c, 'sleep 3; echo "$SYSTOLE_SLOT $SYSTOLE_WORKER $(date +%%s)" >>"/effects/$SYSTOLE_FLOW"']
`

// loadCrontab sends a heartbeat every five seconds, as cron can: it starts one job for each in the same minute.
func loadCrontab() string {
	var lines strings.Builder
	for second := 0; second < 60; second += 5 {
		fmt.Fprintf(&lines, "* * * * * sleep %d; /bin/sh /etc/scheduler/beat.sh >/proc/1/fd/1 2>&1\n", second)
	}
	return lines.String()
}

// load is what goes on in the stack while things fail, and what is known of it.
type load struct {
	stack   *stack
	console *client.Client
	first   map[string]time.Time // each flow's first slot
	faults  []window
}

// window is a time in which something was broken.
type window struct{ from, to time.Time }

// writeLoad makes what the stack reads: the flows, a crontab, and the folder for what the runs leave.
func writeLoad(t *testing.T, dir string) (settings []string) {
	t.Helper()
	flows, effects, crontab := filepath.Join(dir, "flows"), filepath.Join(dir, "effects"), filepath.Join(dir, "crontab")
	for folder, mode := range map[string]os.FileMode{flows: 0o755, effects: 0o777} { // workers run as another user
		if err := os.Mkdir(folder, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{crontab: loadCrontab()}
	for i := range loadFlows {
		files[filepath.Join(flows, fmt.Sprintf("%02d.yaml", i))] = fmt.Sprintf(loadFlow, i, loadEvery)
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"FLOWS_DIR=" + flows, "EFFECTS_DIR=" + effects, "CRONTAB=" + crontab}
}

// newLoad looks at the flows before the first heartbeat: from then on every slot counts.
func (s *stack) newLoad(ctx context.Context, t *testing.T) *load {
	t.Helper()
	console, err := client.New(client.Config{Server: s.address(ctx, t, "console", "8081"), Token: s.secret(t, "api_token")})
	if err != nil {
		t.Fatal(err)
	}
	l := &load{stack: s, console: console, first: map[string]time.Time{}}
	for flow, err := range console.Flows(ctx, store.DefaultGroup, 100) {
		if err != nil {
			t.Fatal(err)
		}
		l.first[flow.Name] = l.next(ctx, t, flow.Name)
	}
	if len(l.first) != loadFlows {
		t.Fatalf("found %d flows, want %d", len(l.first), loadFlows)
	}
	return l
}

// next is the slot that a flow waits for.
func (l *load) next(ctx context.Context, t *testing.T, flow string) time.Time {
	t.Helper()
	slots, err := l.console.Slots(ctx, store.DefaultGroup, flow, 1)
	if err != nil || len(slots) != 1 || slots[0].Outcome != store.SlotWaiting {
		t.Fatalf("the newest slot of %s is %+v, error %v, want one that waits", flow, slots, err)
	}
	return slots[0].From
}

// allFlowsRun waits until each flow has run.
func (l *load) allFlowsRun(ctx context.Context, t *testing.T) {
	t.Helper()
	eventually(ctx, t, func() string { // cron's next minute, and the time that the runs take
		ran := map[string]bool{}
		for _, effect := range l.effects(t) {
			ran[effect.flow] = true
		}
		if len(ran) < loadFlows {
			return fmt.Sprintf("%d of %d flows have run", len(ran), loadFlows)
		}
		return ""
	})
}

// runsOn waits until each of so many workers has run something from now on.
func (l *load) runsOn(ctx context.Context, t *testing.T, workers int) {
	t.Helper()
	from := time.Now()
	eventually(ctx, t, func() string {
		ran := map[string]bool{}
		for _, effect := range l.effects(t) {
			if effect.at.After(from) {
				ran[effect.worker] = true
			}
		}
		if len(ran) != workers {
			return fmt.Sprintf("%d workers run flows, want %d", len(ran), workers)
		}
		return ""
	})
}

// settle sends the last heartbeat, and waits until everything that is due by then has run: what one worker left behind in
// cron's first minute and while things failed takes it longer than any single fault does to heal.
func (l *load) settle(ctx context.Context, t *testing.T) {
	t.Helper()
	gateway := l.stack.address(ctx, t, "gateway", "8080")
	var answer struct{ Status string }
	if status := call(ctx, t, http.DefaultClient, http.MethodPost, gateway+"/heartbeat?wait=5m", l.stack.secret(t, "heartbeat_token"), &answer); status != http.StatusOK {
		t.Fatalf("the last heartbeat was answered %d, %q", status, answer.Status)
	}
}
