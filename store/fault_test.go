package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// connect makes a client as the commands do.
func connect(t testing.TB, urls ...string) redis.UniversalClient {
	t.Helper()
	client, err := store.Connect(store.ConnConfig{URLs: urls, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// everything calls each script once, over a flow whose first slot is due.
func everything(f *fixture) {
	f.Helper()
	f.put(function("a", everyMinute))
	f.beat()
	c := f.claimOne("w")
	if held, err := f.Renew(f.ctx, f.p, lease, []store.Claim{c}); err != nil || !held[0].Held {
		f.Fatal(held, err)
	}
	if err := f.Progress(f.ctx, f.p, []store.Output{{Claim: c, Log: []byte("x")}}); err != nil {
		f.Fatal(err)
	}
	if written, err := f.Release(f.ctx, f.p, success(c)); err != nil || written.Answers[0].Err != nil {
		f.Fatal(written.Answers, err)
	}
	f.complete(f.claimOne("w"))
	f.runNow("a", "")
	f.complete(f.claimOne("w"))
	if err := f.DeleteFlow(f.ctx, "default", "a"); err != nil {
		f.Fatal(err)
	}
}

// Each script's answer is lost in turn, after Redis has carried the call out. The call is repeated, and says what the
// first one did; nothing is done twice.
func TestACallWhoseAnswerIsLostIsRepeatedAndDoesNothingTwice(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	warm := fixtureOver(t, connect(t, server.URL()), store.Config{Prefix: "warm"})
	everything(warm) // from here on Redis knows the scripts: one EVALSHA is one call

	type lost struct {
		*fixture
		cut func()
	}
	for name, call := range map[string]func(lost){
		"put_flow": func(f lost) {
			f.cut()
			if change, err := f.PutFlow(f.ctx, function("b", everyMinute)); err != nil || change != store.FlowCreated {
				f.Errorf("put: %s, %v", change, err)
			}
			if change, err := f.PutFlow(f.ctx, function("b", everyHour)); err != nil || change != store.FlowChanged {
				f.Errorf("put: %s, %v", change, err)
			}
		},
		"put_flow, a batch": func(f lost) {
			flows := []store.DataFlow{function("a", everyHour), function("b", everyMinute), function("c")}
			f.cut()
			changes, err := f.PutFlows(f.ctx, "files", flows)
			if err != nil || results(changes) != "a changed, b created, c created" || len(changes[0].Changes) != 2 {
				f.Errorf("put: %+v, %v", changes, err)
			}
			if changes, err = f.PutFlows(f.ctx, "files", flows); err != nil || results(changes) != "a unchanged, b unchanged, c unchanged" {
				f.Errorf("put again: %+v, %v", changes, err)
			}
		},
		"put_flow, the source alone": func(f lost) {
			f.cut()
			if changes, err := f.PutFlows(f.ctx, "files", []store.DataFlow{function("a", everyMinute)}); err != nil || results(changes) != "a changed" {
				f.Errorf("put: %+v, %v", changes, err)
			}
		},
		"delete_flow of a source": func(f lost) {
			if _, err := f.PutFlows(f.ctx, "files", []store.DataFlow{function("b")}); err != nil {
				f.Fatal(err)
			}
			f.cut()
			if err := f.DeleteFlowFrom(f.ctx, "files", "default", "b"); err != nil {
				f.Errorf("delete: %v", err)
			}
		},
		"delete_flow": func(f lost) {
			f.cut()
			if err := f.DeleteFlow(f.ctx, "default", "a"); err != nil {
				f.Errorf("delete: %v", err)
			}
		},
		"accept_beat": func(f lost) {
			f.cut()
			if accepted := f.beat(); !accepted.First || accepted.Due != 1 {
				f.Errorf("accepted %+v", accepted)
			}
			if beats, _, err := f.Beats(f.ctx, "default", 10, ""); err != nil || len(beats) != 1 {
				f.Errorf("beats %+v, %v", beats, err)
			}
		},
		"claim": func(f lost) {
			f.put(function("b", everyMinute))
			f.beat()
			f.cut()
			c := f.claim("w", 1).Claims
			if len(c) != 1 || f.run(c[0].RunID).Status != store.StatusInProgress {
				f.Errorf("claimed %+v", c)
			}
			if status, err := f.Status(f.ctx); err != nil || status[0].Running != 1 {
				f.Errorf("status %+v, %v", status, err)
			}
		},
		"renew": func(f lost) {
			f.beat()
			c := f.claimOne("w")
			f.cut()
			if held, err := f.Renew(f.ctx, f.p, lease, []store.Claim{c}); err != nil || !held[0].Held {
				f.Errorf("renewed %v, %v", held, err)
			}
		},
		"progress": func(f lost) {
			f.beat()
			c := f.claimOne("w")
			f.cut()
			if err := f.Progress(f.ctx, f.p, []store.Output{{Claim: c, Log: []byte("x")}}); err != nil {
				f.Error(err)
			}
		},
		"complete": func(f lost) {
			f.beat()
			c := f.claimOne("w")
			f.cut()
			if settled := f.complete(c); len(settled) != 1 || settled[0].Succeeded != 1 {
				f.Errorf("settled %+v", settled)
			}
		},
		"release": func(f lost) {
			f.beat()
			c := f.claimOne("w")
			f.cut()
			if written, err := f.Release(f.ctx, f.p, success(c)); err != nil || written.Answers[0].Err != nil {
				f.Errorf("released %+v, %v", written.Answers, err)
			}
			if settled := f.complete(f.claimOne("w")); len(settled) != 1 || settled[0].FlowsTriggered != 1 {
				f.Errorf("settled %+v", settled)
			}
		},
		"enqueue": func(f lost) {
			f.cut()
			id := f.runNow("a", "")
			if c := f.claimOne("w"); c.RunID != id {
				f.Errorf("claimed %s, asked for %s", c.RunID, id)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := testenv.StartProxy(t, server.Addr)
			f := fixtureOver(t, connect(t, "redis://"+proxy.Addr), store.Config{Prefix: "lost-" + name})
			f.put(function("a", everyMinute))
			var cut <-chan struct{}
			call(lost{f, func() { cut = proxy.Cut("evalsha") }})
			select {
			case <-cut:
			default:
				t.Error("no answer was lost")
			}
		})
	}
}

// With several partitions, one more script joins the parts of a beat; its keys are of the first partition.
func TestASettledBeatIsToldThoughTheAnswerToJoiningItsPartsIsLost(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	proxy := testenv.StartProxy(t, server.Addr)
	f := fixtureOver(t, connect(t, "redis://"+proxy.Addr), store.Config{Prefix: "p", Partitions: 2})
	f.put(function("a"), function("b"))
	if accepted := f.beat(); accepted.Settled == nil {
		t.Fatalf("accepted %+v", accepted) // now Redis knows the scripts
	}
	cut := proxy.Cut("settle:2-2")
	if accepted := f.beat(); accepted.Settled == nil || !accepted.First {
		t.Errorf("accepted %+v", accepted)
	}
	<-cut
}

// A claim whose caller gave up is carried out by Redis all the same; the next claim gets what it took.
func TestAClaimThatWasGivenUpIsNotLost(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	proxy := testenv.StartProxy(t, server.Addr)
	f := fixtureOver(t, connect(t, "redis://"+proxy.Addr), store.Config{Prefix: "p"})
	f.put(function("a", everyMinute), function("b", everyMinute))
	f.beat()
	f.claim("other", 1) // now Redis knows the script
	claimer := f.Claimer(f.p, "w", lease)
	ctx, cancel := context.WithCancel(f.ctx)
	cut := proxy.Cut("evalsha")
	go func() {
		<-cut
		cancel()
	}()
	if got, err := claimer.Claim(ctx, 1); err == nil && len(got.Claims) == 1 {
		return // the repeated call was quicker than the caller
	} else if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("given up: %v", err)
	}
	got, err := claimer.Claim(f.ctx, 1)
	if err != nil || len(got.Claims) != 1 || got.Claims[0].Attempt != 1 {
		t.Errorf("claimed %+v, %v", got, err)
	}
	if status, err := f.Status(f.ctx); err != nil || status[0].Running != 2 {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestScriptsThatRedisForgotAreSentAgain(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	client := connect(t, server.URL())
	client.AddHook(beforeScript(func(ctx context.Context, _ []any) error { return client.ScriptFlush(ctx).Err() }))
	everything(fixtureOver(t, client, store.Config{Prefix: "p"}))
}

// Redis is killed under a worker that claims and completes; its calls are repeated until it is back, and everything
// that was due has run, each attempt once.
func TestCallsGoThroughARestartOfRedis(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	f := fixtureOver(t, connect(t, server.URL()), store.Config{Prefix: "p"})
	const flows = 60
	for n := range flows {
		f.put(function(fmt.Sprintf("flow-%02d", n), everyHour))
	}
	f.beat()
	completed := map[string]bool{}
	var restarted chan error
	isUp := func() { // the calls may be answered before Start has seen that the server is there
		if restarted == nil {
			return
		}
		if err := <-restarted; err != nil {
			t.Fatal(err)
		}
		restarted = nil
	}
	for round := 0; len(completed) < flows; round++ {
		claims := f.claim("w", 10).Claims
		if round == 1 || round == 3 {
			isUp()
			server.Kill()
			restarted = make(chan error, 1)
			go func() { restarted <- server.Start() }()
		}
		if len(claims) > 0 {
			began := time.Now()
			if _, err := f.Complete(f.ctx, f.p, success(claims...)); errors.Is(err, store.ErrUnavailable) && time.Since(began) > time.Second {
				isUp() // Redis takes longer to come up than a call is repeated
			} else if err != nil {
				t.Fatalf("given up after %s: %v", time.Since(began), err)
			}
			f.complete(claims...) // which was done, or is repeated
		}
		for _, c := range claims {
			if completed[c.OccurrenceID] {
				t.Fatalf("%s was completed twice", c.OccurrenceID)
			}
			completed[c.OccurrenceID] = true
		}
	}
	isUp()
	beats, _, err := f.Beats(f.ctx, "default", 1, "")
	if err != nil || beats[0].Succeeded != flows || beats[0].SettledAt == nil {
		t.Errorf("beat %+v, %v", beats, err)
	}
}

func TestACallGivesUpWhenItsContextDoesAndSaysThatRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	proxy := testenv.StartProxy(t, server.Addr)
	f := fixtureOver(t, connect(t, "redis://"+proxy.Addr), store.Config{Prefix: "p"})
	f.put(function("a", everyMinute))
	f.beat()
	c := f.claimOne("w")
	proxy.Blackhole(true)
	ctx, cancel := context.WithTimeout(f.ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := f.Complete(ctx, f.p, success(c)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("out of a black hole: %v", err)
	}
	if _, err := f.Flow(ctx, "default", "a"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("read out of a black hole: %v", err)
	}
	proxy.Blackhole(false)
	f.complete(c)
}

func TestABadCallIsNotRepeated(t *testing.T) {
	t.Parallel()
	client, prefix := testenv.Redis(t)
	s, err := store.NewWithEdit("renew", "local reply, extended = {}, {}", "error('broken')")(client, store.Config{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	client.AddHook(beforeScript(func(context.Context, []any) error { calls++; return nil }))
	_, err = s.Renew(context.Background(), s.Partitions("g")[0], lease, []store.Claim{{Flow: function("a")}})
	if err == nil || errors.Is(err, store.ErrUnavailable) || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

// A replica whose clock is behind has become master: time stands still until it has caught up, and never goes back.
func TestTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	ahead := f.pass(0) // what the old master had seen, decades before the new one's TIME
	f.put(function("a", everyMinute))
	accepted := f.beat()
	if !accepted.AsOf.Equal(ahead) {
		t.Errorf("as of %s, want %s", accepted.AsOf, ahead)
	}
	first := f.claimOne("w")
	f.complete(first)
	if view := f.flow("a"); !view.NextSlot.Equal(ahead.Add(time.Minute)) || view.Due {
		t.Errorf("next slot %s, due %v", view.NextSlot, view.Due)
	}
	f.runNow("a", "")
	if second := f.claimOne("w"); second.Token <= first.Token || second.StartedAt.Before(first.StartedAt) {
		t.Errorf("token %s after %s, started %s after %s", second.Token, first.Token, second.StartedAt, first.StartedAt)
	}
}

// A promoted replica may lack the last writes, tokens among them. New ones are made from its clock, and are not reused.
func TestTokensAreNotGivenTwiceAfterRedisLostItsLastWrites(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	f.beat()
	lostClaim := f.claimOne("w")
	for _, key := range f.Keys(f.p) {
		if err := f.client.Del(f.ctx, key).Err(); err != nil {
			t.Fatal(err)
		}
	}
	f.put(function("a", everyMinute))
	f.beat()
	c := f.claimOne("w")
	if c.Token <= lostClaim.Token {
		t.Errorf("token %s after %s", c.Token, lostClaim.Token)
	}
	if written, err := f.Complete(f.ctx, f.p, success(lostClaim)); err != nil || !errors.Is(written.Answers[0].Err, store.ErrStale) {
		t.Errorf("completed with a token of before: %+v, %v", written.Answers, err)
	}
}

// Redis' clock has jumped an hour ahead, and is set right again. It is the largest time that scripts have seen, so for an hour it stands
// still for them.
func TestAClockThatWasAheadRunsWhatWasDueByThenOnceAndThenStandsStill(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.pass(0)
	f.put(function("a", everyMinute), function("long", everyMinute), function("lost", everyMinute))
	f.beat()
	claimed := f.claim("w", 10).Claims
	if len(claimed) != 3 {
		t.Fatalf("claimed %+v", claimed)
	}
	a, long, lost := claimed[0], claimed[1], claimed[2]
	f.complete(a)
	f.pass(time.Hour)
	// Leases have ended by that clock. What is renewed before anybody else looks goes on; what is not is taken over.
	if renewed, err := f.Renew(f.ctx, f.p, lease, []store.Claim{long}); err != nil || !renewed[0].Held {
		t.Fatalf("renewed %+v, %v", renewed, err)
	}
	if again := f.claimOne("other"); again.RecoveredID != lost.RunID {
		t.Errorf("claimed %+v", again)
	}
	f.beat()
	ahead := f.claimOne("w")
	if ahead.Flow.Name != "a" || ahead.Slot.Sub(a.Slot) != 59*time.Minute {
		t.Errorf("runs %s for %s, the first was for %s", ahead.Flow.Name, ahead.Slot, a.Slot)
	}
	f.complete(ahead, long)
	// From here on the clock stands still. Nothing is due and no lease ends, but what is asked for runs.
	f.beat()
	if still := f.claim("w", 10); len(still.Claims) != 0 || still.More || still.NextExpiry != lease {
		t.Errorf("claimed %+v", still)
	}
	f.runNow("a", "")
	f.complete(f.claimOne("w"))
	f.pass(time.Minute)
	f.beat()
	var due []string
	for _, c := range f.claim("w", 10).Claims {
		due = append(due, fmt.Sprint(c.Flow.Name, " ", c.Attempt))
	}
	if got := strings.Join(due, ", "); got != "lost 3, a 1, long 1" {
		t.Errorf("once the clock goes on, it runs %s", got)
	}
	if flow := f.flow("a"); flow.SlotsRan != 2 || flow.SlotsMissed != 58 { // the hour's own slot has only just come due
		t.Errorf("%d slots ran, %d were missed", flow.SlotsRan, flow.SlotsMissed)
	}
}

// While Redis is away a claim is repeated for seconds. The lease counts from the call that was answered.
func TestALeaseIsCountedFromTheCallThatWasAnswered(t *testing.T) {
	t.Parallel()
	f := newFixture(t, store.Config{})
	f.put(function("a", everyMinute))
	f.beat()
	failed := make(chan time.Time, 1)
	f.client.AddHook(beforeScript(func(context.Context, []any) error {
		select {
		case failed <- time.Now():
			return net.ErrClosed
		default:
			return nil
		}
	}))
	claimed := f.claim("w", 1)
	if at := <-failed; len(claimed.Claims) != 1 || claimed.Sent.Before(at) {
		t.Errorf("the lease of %d claims is counted from %s, before the first call failed at %s", len(claimed.Claims), claimed.Sent, at)
	}
}
