package admin_test

import (
	"context"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/store"
)

// claim lets a worker take up what a group has for it. A run-now needs no heartbeat.
func (s *server) claim(t *testing.T, group string) (claims []store.Claim) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, p := range s.store.Partitions(group) {
		claimed, err := s.store.Claimer(p, "w", time.Minute).Claim(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		claims = append(claims, claimed.Claims...)
	}
	return claims
}

// fail takes up what there is, and lets all of it fail for good.
func (s *server) fail(t *testing.T, group string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, claim := range s.claim(t, group) {
		done := store.Completion{Claim: claim, Outcome: store.Outcome{Status: store.StatusFailed, Reason: store.ReasonRefused, Error: "no such program"}}
		if _, err := s.store.Complete(ctx, claim.Partition, []store.Completion{done}); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *server) startRun(t *testing.T, body string) (id string) {
	t.Helper()
	var started wire.RunStarted
	s.want(t, 202, "POST", "/api/v1/flows/orders/runs", body).decode(t, &started)
	return started.RunID
}

func (s *server) run(t *testing.T, id string) (run store.Run) {
	t.Helper()
	s.want(t, 200, "GET", "/api/v1/runs/"+id, "").decode(t, &run)
	return run
}

func TestAFlowIsPausedShownAsSuchAndResumed(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 404, "POST", "/api/v1/flows/orders/pause", "").problem(t)
	s.want(t, 404, "POST", "/api/v1/flows/orders/resume", "").problem(t)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	for _, reason := range []string{"moving the warehouse", "again"} { // pausing a paused flow changes nothing
		s.want(t, 204, "POST", "/api/v1/flows/orders/pause", `{"reason":"`+reason+`"}`)
	}
	var page wire.FlowPage
	s.want(t, 200, "GET", "/api/v1/flows", "").decode(t, &page)
	if flow := page.Flows[0]; !flow.Paused || flow.PausedReason != "moving the warehouse" || flow.PausedAt == nil || flow.Due {
		t.Errorf("paused, it is listed as %+v", flow)
	}
	for range 2 {
		s.want(t, 204, "POST", "/api/v1/flows/orders/resume", "")
	}
	var flow store.FlowView
	s.want(t, 200, "GET", "/api/v1/flows/orders", "").decode(t, &flow)
	if flow.Paused || flow.PausedReason != "" || flow.PausedAt != nil {
		t.Errorf("resumed, it is %+v", flow)
	}
}

func TestAPendingRunIsCancelledAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	s.want(t, 404, "POST", "/api/v1/runs/orders~1763848800000000/cancel", "").problem(t)
	id := s.startRun(t, "")
	var cancelled wire.RunCancelled
	s.want(t, 200, "POST", "/api/v1/runs/"+id+"/cancel", `{"reason":"wrong day"}`).decode(t, &cancelled)
	if cancelled != (wire.RunCancelled{RunID: id, Status: store.StatusCancelled}) {
		t.Errorf("got %+v", cancelled)
	}
	if run := s.run(t, id); run.Status != store.StatusCancelled || run.EndedAt == nil {
		t.Errorf("the run is %+v", run)
	}
	if claims := s.claim(t, "default"); len(claims) != 0 {
		t.Errorf("it was run all the same: %+v", claims)
	}
	s.want(t, 409, "POST", "/api/v1/runs/"+id+"/cancel", "").problem(t)
}

func TestARunInProgressIsFlaggedToBeCancelled(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	id := s.startRun(t, "")
	s.claim(t, "default")
	for range 2 {
		var cancelled wire.RunCancelled
		s.want(t, 200, "POST", "/api/v1/runs/"+id+"/cancel", "").decode(t, &cancelled)
		if cancelled != (wire.RunCancelled{RunID: id, Status: store.StatusInProgress, CancelRequested: true}) {
			t.Errorf("got %+v", cancelled)
		}
	}
	if run := s.run(t, id); !run.CancelRequested {
		t.Errorf("the run is %+v", run)
	}
}

func TestAFinishedRunIsRetriedWithItsParameters(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	s.want(t, 404, "POST", "/api/v1/runs/orders~1763848800000000/retry", "").problem(t)
	id := s.startRun(t, `{"params":{"day":"2026-11-22"}}`)
	s.want(t, 409, "POST", "/api/v1/runs/"+id+"/retry", "").problem(t)
	s.fail(t, "default")
	var started wire.RunStarted
	s.want(t, 202, "POST", "/api/v1/runs/"+id+"/retry", "").decode(t, &started)
	run := s.run(t, started.RunID)
	if started.RunID == id || run.Status != store.StatusPending || string(run.Params) != `{"day":"2026-11-22"}` {
		t.Errorf("the retry is %+v", run)
	}
}

func TestDeadOccurrencesAreListedRetriedAndPurged(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	var ids []string
	for range 4 {
		ids = append(ids, s.startRun(t, ""))
		s.fail(t, "default")
	}
	listed := func(want ...string) {
		t.Helper()
		var got []string
		for after := ""; ; {
			var page wire.RunPage
			s.want(t, 200, "GET", "/api/v1/dead?limit=2&after="+after, "").decode(t, &page)
			for _, run := range page.Runs {
				got = append(got, run.ID)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(got) != len(want) {
			t.Fatalf("dead are %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("dead are %v, want %v", got, want)
			}
		}
	}
	listed(ids[3], ids[2], ids[1], ids[0])

	var started wire.RunStarted
	s.want(t, 202, "POST", "/api/v1/dead/"+ids[2]+"/retry", "").decode(t, &started)
	if run := s.run(t, started.RunID); run.Status != store.StatusPending {
		t.Errorf("the retry is %+v", run)
	}
	s.want(t, 404, "POST", "/api/v1/dead/"+ids[2]+"/retry", "").problem(t)
	listed(ids[3], ids[1], ids[0])
	s.want(t, 200, "DELETE", "/api/v1/dead/"+ids[3], "")
	s.want(t, 404, "DELETE", "/api/v1/dead/"+ids[3], "").problem(t)
	listed(ids[1], ids[0])
	var purged wire.Purged
	s.want(t, 200, "DELETE", "/api/v1/dead?all=true", "").decode(t, &purged)
	if purged.Purged != 2 {
		t.Errorf("purged are %d", purged.Purged)
	}
	listed()
}

func TestSlotsTellWhatBecameOfThem(t *testing.T) {
	t.Parallel()
	s := serve(t, false)
	s.want(t, 404, "GET", "/api/v1/flows/orders/slots", "").problem(t)
	s.want(t, 404, "GET", "/api/v1/flows/orders/slots?at=2026-11-22T14:05:00Z", "").problem(t)
	s.want(t, 201, "POST", "/api/v1/flows", orders)
	var list wire.SlotList
	s.want(t, 200, "GET", "/api/v1/flows/orders/slots?limit=5", "").decode(t, &list)
	for _, slot := range list.Slots {
		if slot.Outcome != "waiting" {
			t.Errorf("before any heartbeat there is %+v", slot)
		}
	}
	s.want(t, 200, "GET", "/api/v1/flows/orders/slots?at=2020-01-01T00:00:00Z", "").decode(t, &list)
	if len(list.Slots) != 1 || list.Slots[0].Outcome == "" || list.Slots[0].Outcome == "ran" {
		t.Errorf("a time before the flow was there gives %+v", list.Slots)
	}
}
