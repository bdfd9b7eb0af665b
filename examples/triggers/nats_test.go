package triggers_test

import (
	"strings"
	"testing"
	"time"
)

// R6.6: another system publishes straight to NATS.
func TestAMessageInNATSIsAHeartbeat(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	if out := g.command(nil, "nats-publish", g.name); !strings.Contains(out, "stored in SYSTOLE_BEATS as ") {
		t.Errorf("it says %q", out)
	}
	g.ran("my-program")
}

// R1.1, R4.5: the clock is NATS'; there is no gateway in this.
func TestAScheduleOfNATSRunsAFlowAgainAndAgain(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.put("often", time.Second)
	g.command(nil, "nats-schedule", "@every 1s", g.name)
	g.ran("nats-schedule")
	g.until("a flow that is due each second has run three times", func() bool { return len(g.runs("often")) >= 3 })
	// Set anew, it is replaced, and not doubled; and the stream stays the one that the others use.
	g.command(nil, "nats-schedule", "@every 1s", g.name)
	g.command(nil, "nats-schedule", "off", g.name)
	before := len(g.runs("often"))
	g.command(nil, "nats-schedule", "@every 1s", g.name)
	g.until("it goes on once it was switched on again", func() bool { return len(g.runs("often")) > before })
	g.command(nil, "nats-schedule", "off", g.name)
}
