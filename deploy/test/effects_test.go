//go:build compose

package deploytest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// effect is what a run left outside when it came to its end.
type effect struct {
	flow   string
	slot   time.Time
	worker string
	at     time.Time // whole seconds
}

// effects reads what all runs have left so far.
func (l *load) effects(t *testing.T) []effect {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(l.stack.effects, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []effect
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if !strings.HasSuffix(line, "\n") {
				break // is being written
			}
			all = append(all, parseEffect(t, filepath.Base(file), line))
		}
	}
	return all
}

func parseEffect(t *testing.T, flow, line string) effect {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) != 3 {
		t.Fatalf("%s: found %q, want a slot, a worker and a time", flow, line)
	}
	slot, err := time.Parse(time.RFC3339, fields[0])
	if err != nil {
		t.Fatalf("%s: %v", flow, err)
	}
	at, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", flow, err)
	}
	return effect{flow, slot, fields[1], time.Unix(at, 0)}
}

// sum is the account of all slots.
type sum struct{ due, run, repeated, lost int }

func (s sum) String() string {
	return fmt.Sprintf("due=%d run=%d repeated=%d lost=%d", s.due, s.run, s.repeated, s.lost)
}

// account holds what the runs left against the slots that were due, and both against what Systole says. A slot may have
// been run again only where a fault came between.
func (l *load) account(ctx context.Context, t *testing.T) sum {
	t.Helper()
	ran := map[string]map[int64][]effect{}
	for _, e := range l.effects(t) {
		if ran[e.flow] == nil {
			ran[e.flow] = map[int64][]effect{}
		}
		slot := e.slot.UnixMilli()
		ran[e.flow][slot] = append(ran[e.flow][slot], e)
	}
	var total sum
	for flow, slot := range l.first {
		end := l.next(ctx, t, flow)
		due := 0
		for ; slot.Before(end); slot = slot.Add(loadEvery) {
			due++
			effects := ran[flow][slot.UnixMilli()]
			delete(ran[flow], slot.UnixMilli())
			switch {
			case len(effects) == 0:
				total.lost++
				t.Errorf("%s: slot %s did not run", flow, slot)
				continue
			case len(effects) > 1:
				total.repeated += len(effects) - 1
				if !l.excused(effects) {
					t.Errorf("%s: slot %s ran more than once without a fault: %+v", flow, slot, effects)
				}
			}
			total.run++
		}
		total.due += due
		for _, effects := range ran[flow] {
			t.Errorf("%s: a run for a slot that was not due: %+v", flow, effects)
		}
		l.saysTheSame(ctx, t, flow, due)
	}
	if total.run == 0 || len(l.faults) != 5 {
		t.Errorf("%v after %d faults: this looked at nothing", total, len(l.faults))
	}
	return total
}

// excused reports whether one of a slot's runs ended while something was broken.
func (l *load) excused(effects []effect) bool {
	for _, effect := range effects {
		for _, fault := range l.faults {
			if effect.at.After(fault.from) && effect.at.Before(fault.to) {
				return true
			}
		}
	}
	return false
}

// saysTheSame looks at the slots as an operator would: all that were due ran, and successfully.
func (l *load) saysTheSame(ctx context.Context, t *testing.T, flow string, due int) {
	t.Helper()
	slots, err := l.console.Slots(ctx, store.DefaultGroup, flow, 1000)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, slot := range slots[1:] { // the first one waits
		if slot.Outcome != store.SlotRan || slot.Reason != "" {
			t.Errorf("%s: Systole says of slot %s: %s, %s", flow, slot.From, slot.Outcome, slot.Detail)
		}
		ran += slot.Count
	}
	if ran != due {
		t.Errorf("%s: Systole says that %d slots ran, and %d were due", flow, ran, due)
	}
}
