package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/systole-run/systole/internal/testenv"
	"github.com/systole-run/systole/store"
)

// A Redis whose disk is full refuses to write, each call as a whole. What it had answered before is not lost; once there is room,
// the same calls go through.
func TestARedisWhoseDiskIsFullRefusesUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	disk := testenv.SmallDisk(t)
	server := testenv.StartRedis(t, "--dir", disk)
	f := fixtureOver(t, connect(t, server.URL()), store.Config{Prefix: "p"})
	f.put(function("a", everyMinute), function("b", everyMinute))
	f.beat()
	held := f.claim("w", 1).Claims[0]

	makeRoom := testenv.FillDisk(t, disk)
	var answered string // the last run that was asked for before the disk was found full
	refused := func() bool {
		id, err := f.Enqueue(f.ctx, store.RunNow{Group: "default", Flow: "a"})
		if err == nil {
			answered = id
		}
		return err != nil && strings.Contains(err.Error(), "MISCONF")
	}
	until(t, "the disk is found full", refused)
	for what, call := range map[string]func() error{
		"complete": func() error { _, err := f.Complete(f.ctx, f.p, success(held)); return err },
		"claim":    func() error { _, err := f.Claimer(f.p, "x", lease).Claim(f.ctx, 10); return err },
		"renew":    func() error { _, err := f.Renew(f.ctx, f.p, lease, []store.Claim{held}); return err },
		"check":    func() error { _, err := f.Check(f.ctx); return err },
	} {
		if err := call(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "MISCONF") {
			t.Errorf("%s: %v", what, err)
		}
	}
	makeRoom()
	until(t, "there is room again", func() bool {
		written, err := f.Complete(f.ctx, f.p, success(held))
		return err == nil && written.Answers[0].Err == nil
	})
	server.Kill()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if answered != "" && f.run(answered).Status != store.StatusPending {
		t.Errorf("%+v", f.run(answered))
	}
	if run := f.run(held.RunID); run.Status != store.StatusSuccess {
		t.Errorf("completed as the disk had room again, and is %+v", run)
	}
}

// until asks until it holds, of a server that notices by itself within a second or so.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
