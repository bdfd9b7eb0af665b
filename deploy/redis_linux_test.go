package deploy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
)

// Redis that cannot put on its disk what it would answer ends, and has all that it answered when it starts with room again.
func TestRedisStopsWhereItsDiskIsFullAndKeepsWhatItAnswered(t *testing.T) {
	t.Parallel()
	disk := testenv.SmallDisk(t)
	d := testenv.Deploy(t)
	server := d.StartRedis(t, "--dir", disk)
	worker := d.Redis(t, server, "worker")
	makeRoom := testenv.FillDisk(t, disk)
	answered := -1
	for i := range 1000 { // a page may have room yet
		if err := worker.HSet(t.Context(), "systole:x", fmt.Sprint(i), strings.Repeat("x", 100)).Err(); err != nil {
			break
		}
		answered = i
	}
	if answered == 999 {
		t.Fatal("a full disk takes everything")
	}
	if err := worker.Ping(t.Context()).Err(); err == nil {
		t.Error("Redis goes on")
	}
	server.Kill()
	makeRoom()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if kept, err := d.Redis(t, server, "worker").HLen(t.Context(), "systole:x").Result(); err != nil || kept < int64(answered+1) {
		t.Errorf("has %d of the %d that it answered, error %v", kept, answered+1, err)
	}
}
