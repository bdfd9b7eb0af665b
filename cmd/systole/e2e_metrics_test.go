package main

import (
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/systole-run/systole/store"
)

// Alerts and dashboards are about metrics that the program really has: each name that they use is among what a gateway, a
// worker and a console show.
func TestTheMetricsThatAreWatchedExist(t *testing.T) {
	t.Parallel()
	wanted := watchedMetrics(t)
	if len(wanted) < 25 {
		t.Fatalf("found %d names, want at least 25: %v", len(wanted), slices.Sorted(maps.Keys(wanted)))
	}
	s := newStand(t)
	gateway := s.gateway()
	worker := s.worker("w1", "SYSTOLE_EXECUTOR__HTTP__ALLOW=127.0.0.0/8")
	worker.awaitReady()
	often := store.Duration(time.Second)
	s.putFlow(store.DataFlow{Name: "good", Every: often, Exec: s.shell("true")})
	s.putFlow(store.DataFlow{Name: "bad", Every: often, Exec: s.shell("exit 1")})
	s.putFlow(store.DataFlow{Name: "calls", Every: often, HTTP: &store.HTTPSpec{URL: "http://" + freeAddress(t)}})
	s.publish("{")
	settleBeat(t, gateway.url("gateway"))
	began := s.now()
	pollUntil(t, "slots have passed without a heartbeat", func() bool { return s.now().Sub(began) > 3*time.Second })
	found := map[string]bool{}
	pollUntil(t, "gateway and worker have counted what was sent", func() bool {
		settleBeat(t, gateway.url("gateway"))
		addMetrics(t, found, gateway)
		addMetrics(t, found, worker)
		return found["systole_slots_not_run_total"] && found["systole_bad_messages_total"] && len(s.beats()) > 5
	})
	console := s.start("console", "console", "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0")
	refuse(t, console)
	pollUntil(t, "every metric is there", func() bool {
		addMetrics(t, found, console)
		for name := range found {
			delete(wanted, name)
		}
		return len(wanted) == 0 || found["systole_beat_warning"]
	})
	for name, file := range wanted {
		t.Errorf("%s names %s, which no role has", file, name)
	}
}

// refuse has a console refuse a request.
func refuse(t *testing.T, console *daemon) {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodPost, console.url("console")+"/api/v1/flows/good/pause", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("Sec-Fetch-Site", "cross-site")
	if status, body := send(t, http.DefaultClient, ask); status != http.StatusForbidden {
		t.Fatalf("answered %d %s", status, body)
	}
}

// watchedMetrics gives each name of ours in what is there to import, and one file that has it.
func watchedMetrics(t *testing.T) map[string]string {
	t.Helper()
	name, part := regexp.MustCompile(`\bsystole_[a-z_]+`), regexp.MustCompile(`_(bucket|sum|count)$`)
	names := make(map[string]string)
	read := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yml", ".yaml", ".json", ".md"}, filepath.Ext(path)) {
			return err
		}
		data, err := os.ReadFile(path)
		for _, found := range name.FindAllString(string(data), -1) {
			names[part.ReplaceAllString(found, "")] = path
		}
		return err
	}
	for _, folder := range []string{"../../deploy", "../../examples/triggers"} {
		if err := filepath.WalkDir(folder, read); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// addMetrics adds the names of the metrics that a process shows.
func addMetrics(t *testing.T, names map[string]bool, d *daemon) {
	t.Helper()
	response, err := http.Get(d.url("metrics") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("metrics of %s: %v", d.name, err)
	}
	for _, family := range regexp.MustCompile(`(?m)^# TYPE (\w+) `).FindAllSubmatch(page, -1) {
		names[string(family[1])] = true
	}
}
