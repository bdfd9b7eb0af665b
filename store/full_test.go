package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// A Redis that has no memory left refuses each write as a whole: nothing is half done. Once there is room, the same calls go
// through.
func TestARedisThatIsFullRefusesWithoutDoingHalf(t *testing.T) {
	t.Parallel()
	f := fixtureOver(t, connect(t, testenv.StartRedis(t).URL()), store.Config{Prefix: "p"})
	f.put(function("a", everyMinute), function("b", everyMinute))
	f.beat()
	held := f.claim("w", 1).Claims[0]
	limit := func(bytes string) {
		t.Helper()
		if err := f.client.ConfigSet(f.ctx, "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	everything := func() string {
		t.Helper()
		var all []string
		for _, key := range f.Keys(f.p)[1:] { // but the clock
			all = append(all, f.client.Dump(f.ctx, key).Val())
		}
		return strings.Join(all, "\n")
	}
	if _, err := f.Check(f.ctx); err != nil {
		t.Fatal(err)
	}
	limit("1")
	before := everything()
	for what, call := range map[string]func() error{
		"complete": func() error { _, err := f.Complete(f.ctx, f.p, success(held)); return err },
		"claim":    func() error { _, err := f.Claimer(f.p, "x", lease).Claim(f.ctx, 10); return err },
		"renew":    func() error { _, err := f.Renew(f.ctx, f.p, lease, []store.Claim{held}); return err },
		"put":      func() error { _, err := f.PutFlow(f.ctx, function("c", everyMinute)); return err },
		"check":    func() error { _, err := f.Check(f.ctx); return err },
		"run now":  func() error { _, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: "a"}); return err },
		"beat": func() error {
			_, err := f.AcceptBeat(f.ctx, store.Arrival{Key: "9-9", ID: "b", Group: "default", Worker: "w"})
			return err
		},
	} {
		if err := call(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if everything() != before {
		t.Error("a call that was refused has changed something")
	}
	limit("0")
	f.complete(held)
	f.complete(f.claimOne("w"))
}
