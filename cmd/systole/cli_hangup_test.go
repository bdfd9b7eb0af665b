package main

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/systole-run/systole/store"
)

// R5.3: a real signal to a real process.
func TestAHangupReloadsSettingsAndABadFileLeavesTheProcessAsItWas(t *testing.T) {
	t.Parallel()
	file := write(t, "systole.yaml", "log: {level: info}\n")
	gateway := spawn(t, "gateway", []string{"gateway", "-c", file}, gatewayOn(t, "127.0.0.1:0")...)
	url := gateway.url("gateway") + "/heartbeat"
	await(t, url, "", http.StatusAccepted)

	overwrite(t, file, "log: {level: debug}\n")
	gateway.signal(syscall.SIGHUP)
	gateway.awaitLog("settings reloaded", "changed", "log.level")

	overwrite(t, file, "log: {level: loud}\n")
	gateway.signal(syscall.SIGHUP)
	gateway.awaitLog("settings not reloaded, the old ones stand")
	await(t, url, "", http.StatusAccepted)
	gateway.signal(syscall.SIGTERM)
	if status := gateway.status(); status != exitFine {
		t.Errorf("exit status %d", status)
	}
}

// A hangup must not do what it does to programs that do not expect it, while runs are being finished.
func TestAHangupWhileDrainingEndsNoRun(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	worker := s.worker("w", "SYSTOLE_WORKER__DRAIN_TIMEOUT=10m")
	worker.awaitReady()
	s.put("slow", 1, `until test -e "$DIR/gate"; do sleep 0.05; done`)
	s.publish("")
	s.awaitRuns(1, store.StatusInProgress)
	worker.signal(syscall.SIGTERM)
	worker.awaitLog("draining")
	worker.signal(syscall.SIGHUP)
	worker.awaitLog("settings reloaded")
	s.open("gate")
	if status := worker.status(); status != exitFine {
		t.Errorf("exit status %d", status)
	}
	s.awaitRuns(1, store.StatusSuccess)
}
