package store_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/store/storetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The seed that a failure prints repeats it; files of failures would only lie about.
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// R3.1 R3.2 R6.4
func TestStoreConformsToTheModelWhateverHappensInWhateverOrder(t *testing.T) {
	t.Parallel()
	storetest.Run(t, store.New)
}

// R6.4
func TestConcurrentClientsAreToldWhatOneAfterTheOtherCouldBe(t *testing.T) {
	t.Parallel()
	storetest.RunConcurrently(t, store.New)
}

// Each rule that keeps an occurrence from being run or ended twice is taken out of the scripts in turn, and the suite has
// to notice: a suite that passes without the rule would prove nothing with it.
func TestTheSuiteNoticesWhenARuleIsMissingFromAScript(t *testing.T) {
	t.Parallel()
	for _, missing := range []struct{ rule, script, old, new string }{
		{"complete checks the token", "complete", "not h or h.token ~= ARGV[at + TOKEN]", "not h"},
		{"renew checks the token", "renew", "local ours = token_of(values[i]) == ARGV[2 * i + 1]", "local ours = values[i]"},
		{"release checks the token", "release", "if token_of(value) == ARGV[at + TOKEN] then", "if value then"},
		{"progress checks the token", "progress", "local ours = token_of(value) == ARGV[at + 2]", "local ours = value"},
		{"a claim takes no live lease", "claim", "redis.call('ZRANGEBYSCORE', leases, '-inf', now,", "redis.call('ZRANGEBYSCORE', leases, '-inf', '+inf',"},
		{"a claim takes nothing early", "claim", "due_to_run(as_of, wanted)", "due_to_run('+inf', wanted)"},
		{"what is claimed leaves the due set", "claim", "    call_batch('ZREM', due, found)\n", ""},
		{"a claim asked for again takes nothing new", "claim", "if again then take_again() end", ""},
		{"an attempt that was lost counts", "claim", "h.run, h.attempt = nil, int(tonumber(h.attempt) + 1)", "h.run = nil"},
		{"runs do not overlap where they must not", "claim", "if s.overlap == '' and (taken[name] or busy(name)) then", "if false then"},
		{"a retry waits while its flow is paused", "claim", "if h.slot ~= '' and paused(s) then", "if false then"},
		{"a lost run's place of its key goes on to the next attempt", "claim", "if placed then", "if false then"},
		{"a run that is dropped gives its place back", "claim", "  redis.call('ZREM', open, h.run)\n  give_back(h, now)", "  redis.call('ZREM', open, h.run)"},
		{"a changed flow's next slot is computed anew", "complete", "s.rev ~= ARGV[at + REV] and written[name] ~= ARGV[at + REV]", "false"},
		{"an end gives its place back", "complete", "if finished[run] and keys_in_use then", "if false then"},
		{"an end lets go who waits for it", "complete", "if finished[run] and waiters and not unblocked[flows[i]] then", "if false then"},
		{"a cancelled run is not retried", "complete", "  if why then", "  if false then"},
		{"a run that is to be cancelled replaces nothing", "place", "elseif why then", "elseif false then"},
		{"a later occurrence replaces those before", "place", "and s.overlap == 'r' and", "and false and"},
		{"a key has no more places than it may", "place", "or places(key) >= tonumber(max) then", "then"},
		{"a flow that is put again is told from the one before", "put_flow", `'{"made":' .. s.rev .. '}'`, "'{}'"},
		{"a flow that may overlap is due again at once", "place", "redis.call('ZADD', due, score, name)", "local _"},
		{"a beat drains while anything is due as of it", "accept_beat", "if due_count('-inf', now) > 0 then", "if b.due > 0 then"},
		{"what is handed back keeps its place", "release", "redis.call('ZREM', keyed, h.key .. '|' .. h.run) == 1", "false"},
		{"a paused flow is not due", "pause", "redis.call('ZREM', due, name)", "local _"},
		{"a worker learns that its run is to be cancelled", "renew", "{ 1, flags[i] or nil }", "{ 1 }"},
		{"a crash counts", "claim", "h.crashes = int(tonumber(h.crashes) + 1)", "local _"},
		{"a lost run that is to be cancelled is not run on", "claim", "or redis.call('HEXISTS', cancels, run) == 1) then", ") then"},
		{"a slot that a beat found held up is skipped", "complete", "elseif s and passed_over(at) then", "elseif false then"},
		{"what failed for good is kept", "complete", "if ARGV[at + DEAD] == '1' then", "if false then"},
		{"slots that are caught up are due as of the same beat", "complete", "then redis.call('ZADD', draining, h.as_of, h.beat) end", "then local _ end"},
	} {
		t.Run(missing.rule, func(t *testing.T) {
			t.Parallel()
			edited := store.NewWithEdit(missing.script, missing.old, missing.new)
			client, prefix := testenv.Redis(t)
			if _, err := edited(client, store.Config{Prefix: prefix}); err != nil {
				t.Fatal(err)
			}
			failure := ""
			for round := 0; round < 100 && failure == ""; round++ { // a walk may miss what a longer one meets
				failure = falsify(storetest.Property(t, edited))
			}
			if failure == "" || strings.Contains(failure, "user_script") { // a broken script is no proof
				t.Errorf("without the rule that %s, the suite says %q", missing.rule, failure)
			}
		})
	}
}

// falsify gives the failure of the first walk on which the property fails, or "". It shrinks nothing.
func falsify(property func(*rapid.T, func())) string {
	quiet, found := &quietTB{}, false
	done := make(chan struct{})
	go func() {
		defer close(done)
		rapid.Check(quiet, func(t *rapid.T) {
			if found {
				return
			}
			defer func() { found = found || t.Failed() }()
			property(t, func() {})
		})
	}()
	<-done
	return quiet.failure
}

// quietTB takes failures without failing the test around it.
type quietTB struct {
	failed  bool
	failure string
}

func (q *quietTB) Helper()               {}
func (q *quietTB) Name() string          { return "quiet" }
func (q *quietTB) Logf(string, ...any)   {}
func (q *quietTB) Log(...any)            {}
func (q *quietTB) Skipf(string, ...any)  { runtime.Goexit() }
func (q *quietTB) Skip(...any)           { runtime.Goexit() }
func (q *quietTB) SkipNow()              { runtime.Goexit() }
func (q *quietTB) Error(...any)          { q.failed = true }
func (q *quietTB) Fatalf(string, ...any) { q.FailNow() }
func (q *quietTB) Fatal(...any)          { q.FailNow() }
func (q *quietTB) Fail()                 { q.failed = true }
func (q *quietTB) Failed() bool          { return q.failed }

func (q *quietTB) Errorf(format string, args ...any) {
	q.failed, q.failure = true, fmt.Sprintf(format, args...)
}

func (q *quietTB) FailNow() {
	q.failed = true
	runtime.Goexit()
}
