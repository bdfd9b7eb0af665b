package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

func TestSmoke(t *testing.T) {
	client, prefix := testenv.Redis(t)
	s, err := store.New(client, store.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	warnings, err := s.Check(ctx)
	t.Log(warnings, err)
	for _, n := range []string{"a", "b", "c"} {
		ch, err := s.PutFlow(ctx, store.DataFlow{Name: n, Every: store.Duration(time.Minute), Function: &store.FunctionSpec{Name: "x"}})
		t.Log(ch, err)
	}
	acc, err := s.AcceptBeat(ctx, store.Arrival{Key: "1-1", ID: "beat|1", Group: "default", Source: "test", Worker: "w1"})
	t.Logf("%+v %v", acc, err)
	p := s.Partitions("default")[0]
	cl := s.Claimer(p, "w1", 10*time.Second)
	got, err := cl.Claim(ctx, 2)
	t.Logf("%+v %v", got, err)
	var batch []store.Completion
	for _, c := range got.Claims {
		batch = append(batch, store.Completion{Claim: c, Outcome: store.Outcome{Status: store.StatusSuccess, Took: 5 * time.Millisecond, Log: []byte("hi")}})
	}
	for range 2 {
		ans, set, err := s.Complete(ctx, p, batch)
		t.Logf("%+v %+v %v", ans, set, err)
	}
	got, err = cl.Claim(ctx, 2)
	t.Logf("%+v %v", got, err)
	held, err := s.Renew(ctx, p, time.Second, got.Claims)
	t.Log(held, err)
	ans, set, err := s.Release(ctx, p, []store.Completion{{Claim: got.Claims[0]}})
	t.Logf("%+v %+v %v", ans, set, err)
	got, err = cl.Claim(ctx, 2)
	t.Logf("%+v %v", got, err)
	ans, set, err = s.Complete(ctx, p, []store.Completion{{Claim: got.Claims[0], Outcome: store.Outcome{Status: store.StatusFailed, Reason: "error", Error: "boom"}}})
	t.Logf("%+v %+v %v", ans, set, err)
	id, err := s.Enqueue(ctx, store.RunNow{Group: "default", Flow: "a", Params: []byte(`{"x":1}`)})
	t.Log(id, err)
	got, err = cl.Claim(ctx, 2)
	t.Logf("%+v %v", got, err)
	ans, set, err = s.Complete(ctx, p, []store.Completion{{Claim: got.Claims[0], Outcome: store.Outcome{Status: store.StatusSuccess}}})
	t.Logf("%+v %+v %v", ans, set, err)
	runs, next, err := s.Runs(ctx, "default", store.RunFilter{Limit: 2})
	t.Logf("%+v %v %v", runs, next, err)
	runs, next, err = s.Runs(ctx, "default", store.RunFilter{Limit: 20, After: next})
	t.Logf("%+v %v %v", runs, next, err)
	beats, next, err := s.Beats(ctx, "default", 10, "")
	t.Logf("%+v %v %v", beats, next, err)
	flows, next, err := s.Flows(ctx, "default", 10, "")
	t.Logf("%+v %v %v", flows, next, err)
	st, err := s.Status(ctx)
	t.Logf("%+v %v", st, err)
}
