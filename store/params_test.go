package store_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/systole-run/systole/store"
)

func ofDay(f *store.DataFlow) {
	f.Params = json.RawMessage(`{"type":"object","required":["day"],"properties":{"day":{"type":"string"},"copies":{"minimum":1}}}`)
}

func TestARunNowIsHeldToTheSchemaOfItsFlow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", ofDay))
	if got := f.flow("a"); len(got.Params) == 0 {
		t.Error("the schema is lost")
	}
	for params, fields := range map[string][]string{
		``:                       {"params.day"},
		`{}`:                     {"params.day"},
		`{"day":1,"copies":0}`:   {"params.copies", "params.day"},
		`{"day":"2026-11-22"}`:   nil,
		`{"day":"x","more":[1]}`: nil,
	} {
		_, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: "a", Params: json.RawMessage(params)})
		var invalid store.InvalidError
		errors.As(err, &invalid)
		var found []string
		for _, field := range invalid {
			found = append(found, field.Field)
		}
		if !slices.Equal(found, fields) || (err == nil) != (fields == nil) {
			t.Errorf("%s: %v, want %v", params, err, fields)
		}
	}
}

// The request may be repeated because its answer was lost, and the flow be changed in between.
func TestARunNowThatIsKnownIsNotHeldToANewerSchema(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a"))
	id := f.runNow("a", runID("a", 1))
	f.put(function("a", ofDay))
	if again := f.runNow("a", id); again != id {
		t.Errorf("got %s", again)
	}
	if _, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: "a", ID: runID("a", 2)}); !errors.As(err, new(store.InvalidError)) {
		t.Errorf("a new one: %v", err)
	}
}
