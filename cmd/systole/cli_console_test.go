package main

import (
	"net/http"
	"regexp"
	"testing"
)

func TestAConsoleThatWaitsForRedisSaysSoAndServesOnceItIsThere(t *testing.T) {
	t.Parallel()
	_, redis, environ := servers(t)
	redis.Kill()
	console := start(t, append(environ, "SYSTOLE_CONSOLE__LISTEN=127.0.0.1:0"), "console")
	console.log.find(t, regexp.MustCompile(`waiting for Redis`))
	run(t, against(console), "status").expect(t, exitFailed, "503 Service Unavailable: the console waits for Redis")
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	pollUntil(t, "the console serves", func() bool {
		status, _ := ask(t, http.MethodGet, console.url+"/api/v1/status", "")
		return status == http.StatusOK
	})
}
