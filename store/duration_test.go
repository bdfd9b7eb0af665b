package store_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

func TestDurationIsTheShortestTextThatReadsBack(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", 5 * time.Minute: "5m", time.Hour: "1h",
		90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 48 * time.Hour: "48h", 100 * time.Millisecond: "100ms",
		10 * time.Minute: "10m", 20 * time.Hour: "20h", -5 * time.Minute: "-5m",
	} {
		got := store.Duration(d).String()
		if got != want {
			t.Errorf("%s is written %q, want %q", d, got, want)
		}
		var back store.Duration
		if err := back.UnmarshalText([]byte(got)); err != nil || time.Duration(back) != d {
			t.Errorf("%q reads back as %s, %v", got, back, err)
		}
	}
}

func TestDurationInJSONIsTextAndNothingElse(t *testing.T) {
	t.Parallel()
	encoded, err := json.Marshal(struct{ Every, Off store.Duration }{Every: store.Duration(90 * time.Minute)})
	if err != nil || string(encoded) != `{"Every":"1h30m","Off":"0s"}` {
		t.Errorf("encoded %s, %v", encoded, err)
	}
	for text, found := range map[string]string{
		`300`: "300", `"5"`: `"5"`, `"5 minutes"`: `"5 minutes"`, `"m"`: `"m"`, `""`: `""`, `"0s"`: `"0s"`, `true`: "true", `{}`: "{}",
	} {
		var d store.Duration
		err := json.Unmarshal([]byte(text), &d)
		if err == nil || !strings.Contains(err.Error(), "found "+found) || !strings.Contains(err.Error(), "5m") {
			t.Errorf("%s: %v; want what was found and an example", text, err)
		}
	}
}
