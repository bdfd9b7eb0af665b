package triggers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/trigger"
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

// With the configuration of deploy, the user for schedulers may publish heartbeats, and the operator may set a schedule.
func TestTheUsersOfDeployMayDoWhatTheExamplesNeed(t *testing.T) {
	t.Parallel()
	deployed, g := testenv.Deploy(t), newGroup(t)
	server := deployed.StartNATS(t)
	nc := deployed.NATS(t, server.URL, "operator")
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	if err := trigger.EnsureStreams(t.Context(), js, trigger.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	ticks, err := nc.SubscribeSync("systole.tick.default")
	if err != nil {
		t.Fatal(err)
	}
	as := func(user string) []string {
		return []string{
			"NATS_URL=" + server.URL, "NATS_USER=" + user, "NATS_PASSWORD=" + deployed.Secret(t, "nats_"+user+"_password"),
			"NATS_INBOX_PREFIX=_INBOX." + user,
		}
	}
	g.command(as("scheduler"), "nats-publish")
	g.command(as("operator"), "nats-schedule", "@every 1s")
	for _, source := range []string{"my-program", "nats-schedule", "nats-schedule"} {
		if tick, err := ticks.NextMsg(patience); err != nil || !strings.Contains(string(tick.Data), source) {
			t.Fatalf("no heartbeat of %s: %v, %v", source, tick, err)
		}
	}
	if err := trigger.EnsureStreams(t.Context(), js, trigger.StreamConfig{}); err != nil {
		t.Errorf("workers that start later refuse a stream with schedules: %v", err)
	}
}
