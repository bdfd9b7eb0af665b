package triggers_test

import (
	"testing"
	"time"

	"github.com/systole-run/systole/internal/testenv"
)

// R6.4: two schedulers send to one group, at the same moment and one after the other; whoever comes first makes a slot run.
func TestTwoSchedulersGiveEachSlotOneRun(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.put("often", time.Second)
	g.bothUntil(4)
	slots := map[time.Time]int{}
	for _, run := range g.runs("often") {
		if slots[*run.Slot]++; slots[*run.Slot] > 1 {
			t.Errorf("slot %s has run %d times", run.Slot, slots[*run.Slot])
		}
	}
	g.until("a flow that is due once has run once", func() bool { return len(g.runs("hello")) == 1 })
	g.cameFrom("cloud-scheduler")
	g.cameFrom("my-program")
}

func TestWhereOneSchedulerDiesTheOtherGoesOn(t *testing.T) {
	t.Parallel()
	g := newGroup(t)
	g.put("often", time.Second)
	g.bothUntil(2)
	before := len(g.runs("often"))
	g.until("one scheduler alone makes the flow run", func() bool {
		g.command(nil, "nats-publish", g.name)
		return len(g.runs("often")) >= before+2
	})
}

// bothUntil has a service send requests and a program publish messages, side by side, until the flow has run so often.
func (g group) bothUntil(runs int) {
	g.t.Helper()
	nc := testenv.Connect(g.t, g.nats)
	g.until("the flow has run under both schedulers", func() bool {
		stored := make(chan error, 1)
		go func() {
			_, err := nc.Request("systole.beat."+g.name, []byte(`{"source":"my-program"}`), patience)
			stored <- err
		}()
		if status := g.send("cloud-scheduler/request.http", credential); status != 202 {
			g.t.Errorf("the gateway answers %d", status)
		}
		if err := <-stored; err != nil {
			g.t.Error(err)
		}
		return len(g.runs("often")) >= runs
	})
}
