package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"
)

// R4.1, R4.3, R4.5: a scheduler outside sends HTTP heartbeats, and the table tells what each one ran, what failed and
// what was not due.
func TestTheQuickstartShowsWhatRanFailedAndWasNotDue(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "heartbeat 1: 4 due, 2 succeeded, 2 failed") {
		t.Errorf("the first heartbeat does not run the four that are due:\n%s", &out)
	}
	const ran, failed, idle = `ran \(\d+ ms\)`, `failed: \w+`, `not due`
	for flow, beats := range map[string][]string{
		"orders-sync":     {ran, ran, ran},
		"broken-import":   {failed, failed, failed},
		"stock-report":    {ran, `(` + ran + `|` + idle + `)`, `(` + ran + `|` + idle + `)`}, // every 2s, with a heartbeat each 1.1s
		"crashing-export": {failed, idle, idle},
		"yearly-close":    {idle, idle, idle},
	} {
		row := regexp.MustCompile(`(?m)^` + flow + `\s.*\s` + strings.Join(beats, `\s+`) + `\s*$`)
		if !row.MatchString(out.String()) {
			t.Errorf("no row matches %s:\n%s", row, &out)
		}
	}
	for _, reason := range []string{"broken-import: command ended with exit code 3: no such table: users", "crashing-export: panic"} {
		if !strings.Contains(out.String(), reason) {
			t.Errorf("it does not say %q:\n%s", reason, &out)
		}
	}
}
