package main

import (
	"net/http"
	"testing"

	"github.com/systole-run/systole/internal/testenv"
)

// R2.4 R6.3: what does not fit on the disk of NATS is not said to be accepted. NATS gives JetStream up there and then, and has it
// again with the restart after there is room.
func TestAFullDiskOfNATSIsAnswered503UntilNATSStartsWithRoom(t *testing.T) {
	t.Parallel()
	disk := testenv.SmallDisk(t)
	d := testenv.Deploy(t)
	s := standOver(t, d.StartRedis(t), d.StartNATSOn(t, disk), "SYSTOLE_NATS__ACK_TIMEOUT=5s") // it is no answer that tells of the full disk
	workers := s.workers(1, 4)
	gateway := s.gateway()
	s.put("orders", 1, "true")
	settleBeat(t, gateway.url("gateway"))

	status := func() int {
		response, _ := sendBeat(t, http.MethodPost, gateway.url("gateway")+"/heartbeat")
		return response.StatusCode
	}
	makeRoom := testenv.FillDisk(t, disk)
	pollUntil(t, "the gateway answers 503", func() bool { return status() == http.StatusServiceUnavailable }) // a block may have room yet
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("without room: %d", got)
	}
	makeRoom()
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("with room, before NATS was restarted: %d", got)
	}
	s.nats.Restart(t, true)
	gateway.awaitReady()
	workers["w1"].awaitReady()
	s.checkNextBeat(gateway, workers)
	checkStillThere(t, gateway, workers)
}
