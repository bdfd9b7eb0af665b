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
