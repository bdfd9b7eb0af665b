package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// Redis is restored from a copy that is older than what has happened since. No slot is lost: what ran since runs once more, as
// the same occurrence. Who still holds a claim from after the copy can write nothing, and tokens never go back.
func TestAfterAnOlderCopyWasRestoredFlowsGoOn(t *testing.T) {
	t.Parallel()
	for kind, restore := range map[string]func(f *fixture, server *testenv.RedisServer) *testenv.RedisServer{
		"snapshot": restoreSnapshot, "append-only file": restoreAppendOnlyFile,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			server := testenv.StartRedis(t)
			f := fixtureOver(t, connect(t, server.URL()), store.Config{Prefix: "p"})
			f.put(function("done", everyMinute), function("running", everyMinute), function("later", everyMinute))
			f.beat()
			before := f.claim("old", 2).Claims
			if len(before) != 2 {
				t.Fatalf("claimed %d", len(before))
			}
			f.complete(before[0])
			copied := restore(f, server)

			// What the copy does not have: a run that ended, and one that has begun.
			f.complete(before[1])
			after := f.claimOne("old")
			server.Kill()
			if err := copied.Start(); err != nil {
				t.Fatal(err)
			}

			r := fixtureOver(t, connect(t, copied.URL()), store.Config{Prefix: "p"})
			if written, err := r.Complete(r.ctx, after.Partition, success(after)); err != nil || !errors.Is(written.Answers[0].Err, store.ErrStale) {
				t.Errorf("a claim from after the copy is completed with %+v, %v", written.Answers, err)
			}
			// The very same beat goes on: what nobody had begun is there to be claimed, as the same occurrence.
			again := r.claimOne("new")
			if again.Flow.Name != after.Flow.Name || again.OccurrenceID != after.OccurrenceID {
				t.Errorf("%s is claimed as %s, it was %s", again.Flow.Name, again.OccurrenceID, after.OccurrenceID)
			}
			r.complete(again)
			// And what was running, once its lease has run out.
			r.pass(2 * lease)
			repeated := r.claimOne("new")
			if repeated.Flow.Name != before[1].Flow.Name || repeated.OccurrenceID != before[1].OccurrenceID || repeated.Attempt != 2 {
				t.Errorf("%+v is repeated, want %s", repeated, before[1].OccurrenceID)
			}
			for _, claim := range []store.Claim{again, repeated} {
				if len(claim.Token) < len(after.Token) || claim.Token <= after.Token {
					t.Errorf("token %s comes after %s", claim.Token, after.Token)
				}
			}
			if written, err := r.Complete(r.ctx, before[1].Partition, success(before[1])); err != nil || !errors.Is(written.Answers[0].Err, store.ErrStale) {
				t.Errorf("the run that was repeated is completed a second time: %+v, %v", written.Answers, err)
			}
			r.complete(repeated)
			if _, err := r.Check(r.ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// restoreSnapshot copies what SAVE has written. A server with an append-only file would not read a snapshot: it starts without.
func restoreSnapshot(f *fixture, server *testenv.RedisServer) *testenv.RedisServer {
	f.Helper()
	if err := f.client.Save(f.ctx).Err(); err != nil {
		f.Fatal(err)
	}
	copied := testenv.StartRedis(f, "--appendonly", "no")
	copied.Kill()
	data, err := os.ReadFile(filepath.Join(server.Dir, "dump.rdb"))
	if err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied.Dir, "dump.rdb"), data, 0o600); err != nil {
		f.Fatal(err)
	}
	return copied
}

func restoreAppendOnlyFile(f *fixture, server *testenv.RedisServer) *testenv.RedisServer {
	f.Helper()
	copied := testenv.StartRedis(f)
	copied.Kill()
	folder := filepath.Join(copied.Dir, "appendonlydir")
	if err := os.RemoveAll(folder); err != nil {
		f.Fatal(err)
	}
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(server.Dir, "appendonlydir"))); err != nil {
		f.Fatal(err)
	}
	return copied
}
