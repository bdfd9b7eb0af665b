package testenv

import (
	"path/filepath"
	"testing"
)

// StartSentinel starts a Redis Sentinel of the test's own with the configuration file conf, which it rewrites, and gives
// its address. It is killed when the test ends.
func StartSentinel(t testing.TB, conf string) string {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := serverOn(port, filepath.Dir(conf))
	s.args = append([]string{conf, "--sentinel"}, s.args...)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s.Addr
}
