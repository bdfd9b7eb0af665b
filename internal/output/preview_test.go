package output_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

func TestAPreviewShowsSlotsThenHeartbeatsThenWarnings(t *testing.T) {
	t.Parallel()
	preview := store.Preview{
		Overdue: at(0), BeatsEvery: store.Duration(time.Minute),
		Slots:    []store.PreviewSlot{{Slot: *at(10)}, {Slot: *at(40), Local: "2026-11-22T10:00:40+01:00"}},
		Beats:    []store.PreviewBeat{{At: *at(15), Slot: at(10), CoalescedCount: 2}, {At: *at(50), MissedCount: 1}},
		Warnings: []string{"too slow"},
	}
	const want = `overdue since 2026-11-22 09:00:00Z

SLOT                   LOCAL                       AFTER
2026-11-22 09:00:10Z   -                           -
2026-11-22 09:00:40Z   2026-11-22T10:00:40+01:00   30s

HEARTBEAT              RUNS SLOT              LATE   COALESCED   MISSED
2026-11-22 09:00:15Z   2026-11-22 09:00:10Z   5s     2           0
2026-11-22 09:00:50Z   -                      -      0           1

warning: too slow
`
	var text bytes.Buffer
	if err := output.New(&text, output.Table).Preview(preview); err != nil || text.String() != want {
		t.Errorf("got\n%s\nwant\n%s%v", text.String(), want, err)
	}
}
