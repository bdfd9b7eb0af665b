package admin

import (
	"context"
	"time"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
)

// listSlots gives one slot alone where at names it.
func (a *API) listSlots(ctx context.Context, in *struct {
	InFlow
	Limit int       `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"a number of entries from 1 to 1000"`
	At    time.Time `query:"at" doc:"a time in RFC 3339, such as 2026-11-22T14:05:00Z; the answer is then the one slot of that time"`
},
) (*out[wire.SlotList], error) {
	if !in.At.IsZero() {
		slot, err := a.store.SlotAt(ctx, in.Group, in.Name, in.At)
		return &out[wire.SlotList]{wire.SlotList{Slots: []store.SlotRange{slot}}}, err
	}
	slots, err := a.store.Slots(ctx, in.Group, in.Name, in.Limit)
	if slots == nil {
		slots = []store.SlotRange{}
	}
	return &out[wire.SlotList]{wire.SlotList{Slots: slots}}, err
}
