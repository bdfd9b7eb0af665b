package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// The ports of FreePort lie below those that systems give to a listener on port 0 (from 32768 on Linux, from 49152 on
// macOS), or a listener would take the port of a server that a test has stopped and will start again. So do those 10,000
// above, which the nodes of a Redis Cluster talk over.
const firstPort, lastPort = 20000, 22700

// FreePort finds a TCP port on loopback that nothing listens on, and keeps it until this process ends: no other
// process that asks here is given it.
func FreePort() (int, error) {
	folder := filepath.Join(os.TempDir(), "systole-test-ports")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return 0, err
	}
	for range lastPort - firstPort {
		port := firstPort + rand.IntN(lastPort-firstPort)
		kept, err := keepUntilExit(filepath.Join(folder, strconv.Itoa(port)))
		if err != nil {
			return 0, err
		}
		if kept && unused(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port from %d to %d is free", firstPort, lastPort)
}

func unused(port int) bool {
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
