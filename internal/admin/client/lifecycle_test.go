package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/store"
)

// script is a server that notes what it is asked, and answers by method and path.
func script(t *testing.T, answers map[string]string) (*client.Client, *[]string) {
	t.Helper()
	asked := &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = append(*asked, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+string(body)))
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			answer = `{"detail":"it is not there"}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return dial(t, server.URL, token), asked
}

func TestTheClientStopsRepeatsAndPauses(t *testing.T) {
	t.Parallel()
	c, asked := script(t, map[string]string{
		"POST /api/v1/flows/a/pause":   "",
		"POST /api/v1/flows/a/resume":  "",
		"POST /api/v1/runs/a~1/cancel": `{"run_id":"a~1","status":"in_progress","cancel_requested":true}`,
		"POST /api/v1/runs/a~1/retry":  `{"run_id":"a~2"}`,
		"GET /api/v1/flows/a/slots":    `{"slots":[{"outcome":"missed","count":3}]}`,
		"GET /api/v1/dead":             `{"runs":[{"id":"a~1"},{"id":"a~2"}]}`,
		"POST /api/v1/dead/a~1/retry":  `{"run_id":"a~3"}`,
		"DELETE /api/v1/dead/a~1":      `{"purged":1}`,
		"DELETE /api/v1/dead/a~2":      `{"purged":1}`,
		"DELETE /api/v1/dead":          `{"purged":7}`,
	})
	ctx := t.Context()
	want := func(request string, got any, err error, answer string) {
		t.Helper()
		if sent := strings.Join(*asked, ", "); err != nil || sent != request || fmt.Sprint(got) != answer {
			t.Errorf("sent %q, want %q; got %v, %v, want %s", sent, request, got, err, answer)
		}
		*asked = nil
	}
	want(`POST /api/v1/flows/a/pause?group=shop {"reason":"moving"}`, "", c.PauseFlow(ctx, "shop", "a", "moving"), "")
	want(`POST /api/v1/flows/a/pause {}`, "", c.PauseFlow(ctx, "", "a", ""), "")
	want(`POST /api/v1/flows/a/resume?group=shop`, "", c.ResumeFlow(ctx, "shop", "a"), "")
	cancelled, err := c.CancelRun(ctx, "", "a~1", "wrong")
	want(`POST /api/v1/runs/a~1/cancel {"reason":"wrong"}`, cancelled, err, "{a~1 in_progress true}")
	id, err := c.RetryRun(ctx, "", "a~1")
	want(`POST /api/v1/runs/a~1/retry`, id, err, "a~2")
	slots, err := c.Slots(ctx, "", "a", 5)
	want(`GET /api/v1/flows/a/slots?limit=5`, len(slots), err, "1")
	slots, err = c.SlotAt(ctx, "", "a", time.Date(2026, 11, 22, 14, 5, 0, 0, time.FixedZone("CET", 3600)))
	want(`GET /api/v1/flows/a/slots?at=2026-11-22T14%3A05%3A00%2B01%3A00`, slots[0].Outcome, err, "missed")
	var dead []string
	for run, err := range c.Dead(ctx, "shop", 10) {
		dead = append(dead, fmt.Sprint(run.ID, err))
	}
	want(`GET /api/v1/dead?group=shop&limit=10`, dead, nil, "[a~1<nil> a~2<nil>]")
	id, err = c.RetryDead(ctx, "", "a~1")
	want(`POST /api/v1/dead/a~1/retry`, id, err, "a~3")
	purged, err := c.PurgeDead(ctx, "", "a~1", "a~2")
	want(`DELETE /api/v1/dead/a~1, DELETE /api/v1/dead/a~2`, purged, err, "2")
	purged, err = c.PurgeAllDead(ctx, "shop")
	want(`DELETE /api/v1/dead?all=true&group=shop`, purged, err, "7")

	var refusal *client.Error
	if purged, err = c.PurgeDead(ctx, "", "a~1", "a~9", "a~2"); purged != 1 || !errors.As(err, &refusal) || !refusal.NotFound() {
		t.Errorf("purged %d, %v", purged, err)
	}
	*asked = nil
	var field store.FieldError
	if purged, err = c.PurgeDead(ctx, "", "a~1", "elsewhere"); purged != 0 || !errors.As(err, &field) || *asked != nil {
		t.Errorf("purged %d, %v; sent %v", purged, err, *asked)
	}
}

func TestNamesThatWouldLeadElsewhereAreNeitherStoppedNorRepeated(t *testing.T) {
	t.Parallel()
	c := dial(t, "http://127.0.0.1:1", "")
	for _, name := range []string{"", "..", "a/b", "A", "a?b"} {
		_, slotsErr := c.Slots(t.Context(), "", name, 0)
		_, slotErr := c.SlotAt(t.Context(), "", name, time.Now())
		_, cancelErr := c.CancelRun(t.Context(), "", name, "")
		_, retryErr := c.RetryRun(t.Context(), "", name)
		_, deadErr := c.RetryDead(t.Context(), "", name)
		_, purgeErr := c.PurgeDead(t.Context(), "", name)
		for i, err := range []error{c.PauseFlow(t.Context(), "", name, ""), c.ResumeFlow(t.Context(), "", name), slotsErr, slotErr, cancelErr, retryErr, deadErr, purgeErr} {
			var field store.FieldError
			if !errors.As(err, &field) {
				t.Errorf("%d: %q gives %v", i, name, err)
			}
		}
	}
}
