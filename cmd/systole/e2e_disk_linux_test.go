package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
)

// R2.4 R6.3: what does not fit on the disk of NATS is not said to be accepted. NATS gives JetStream up there and then, and has it
// again with the restart after there is room.
func TestAFullDiskOfNATSIsAnswered503UntilNATSStartsWithRoom(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	d := testenv.Deploy(t)
	s := standOver(t, d.StartRedis(t), d.StartNATSOn(t, disk), "SYSTOLE_NATS__ACK_TIMEOUT=2s")
	workers := s.workers(1, 4)
	gateway := s.gateway()
	s.put("orders", 1, "true")
	settleBeat(t, gateway.url("gateway"))

	status := func() int {
		response, _ := sendBeat(t, http.MethodPost, gateway.url("gateway")+"/heartbeat")
		return response.StatusCode
	}
	fill(t, filepath.Join(disk, "full"))
	pollUntil(t, "the gateway answers 503", func() bool { return status() == http.StatusServiceUnavailable }) // a block may have room yet
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("without room: %d", got)
	}
	if err := os.Remove(filepath.Join(disk, "full")); err != nil {
		t.Fatal(err)
	}
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("with room, before NATS was restarted: %d", got)
	}
	s.nats.Restart(t, true)
	gateway.awaitReady()
	workers["w1"].awaitReady()
	s.checkNextBeat(gateway, workers)
	checkStillThere(t, gateway, workers)
}

// smallDisk gives a folder that is a file system of its own.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("only root may mount a small disk here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until nothing more fits on its disk.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
