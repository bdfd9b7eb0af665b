package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/systole-run/systole/store"
)

// A program that is older than the data leaves them alone; one that is newer takes them over.
func TestAProgramThatIsOlderThanTheDataDoesNotStart(t *testing.T) {
	t.Parallel()
	for recorded, want := range map[string]error{"": nil, "0": nil, "1": nil, "2": store.ErrFormat, "1000": store.ErrFormat, "x": store.ErrFormat} {
		f := newFixture(t, store.Config{})
		key := f.prefix + ":{deployment}:meta"
		if recorded != "" {
			if err := f.client.HSet(f.ctx, key, "format", recorded).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Inspect(f.ctx); !errors.Is(err, want) {
			t.Errorf("recorded is %q, and whoever looks is told %v", recorded, err)
		}
		if now := f.client.HGet(f.ctx, key, "format").Val(); now != recorded {
			t.Errorf("recorded was %q, and is %q after a look", recorded, now)
		}
		_, err := f.Check(f.ctx)
		if !errors.Is(err, want) {
			t.Errorf("recorded is %q: %v", recorded, err)
		}
		if want != nil && !strings.Contains(err.Error(), `recorded is "`+recorded+`"`) {
			t.Errorf("recorded is %q: %v", recorded, err)
		}
		left := recorded
		if want == nil {
			left = "1"
		}
		if now := f.client.HGet(f.ctx, key, "format").Val(); now != left {
			t.Errorf("recorded was %q, and is %q after the check", recorded, now)
		}
	}
}

// Versions of one format work side by side: what a newer one has written is read without the fields that are not known, and a
// definition stays as it was written.
func TestFieldsOfANewerVersionAreReadOverAndKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	defs := f.prefix + ":{default/0}:defs"
	written := strings.Replace(f.client.HGet(f.ctx, defs, "a").Val(), "{", `{"of_a_later_version":{"x":[1]},`, 1)
	if err := f.client.HSet(f.ctx, defs, "a", written).Err(); err != nil {
		t.Fatal(err)
	}
	f.beat()
	claim := f.claimOne("w")
	f.complete(claim)
	if view := f.flow("a"); view.LastStatus != store.StatusSuccess {
		t.Errorf("the flow is %+v", view)
	}
	if kept := f.client.HGet(f.ctx, defs, "a").Val(); kept != written {
		t.Errorf("the definition has become %s", kept)
	}
	runs := f.prefix + ":{default/0}:runs"
	record := strings.Replace(f.client.HGet(f.ctx, runs, claim.RunID).Val(), `"attempt"`, `"of_a_later_version":true,"attempt"`, 1)
	if err := f.client.HSet(f.ctx, runs, claim.RunID, record).Err(); err != nil {
		t.Fatal(err)
	}
	if run := f.run(claim.RunID); run.Status != store.StatusSuccess || run.Attempt != 1 {
		t.Errorf("the run is %+v", run)
	}
}
