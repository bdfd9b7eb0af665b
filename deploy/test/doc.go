// Package deploytest proves docker-compose.yml on a real engine: it builds the stack, scales it to three workers, and
// watches a heartbeat from cron run flows on all of them.
//
// It owns no product code. It needs Docker with Compose, so its test is behind the build tag compose and `make
// e2e-compose` runs it. It needs no image registry: images_test.go makes the base images out of this machine's own Go
// and Debian programs.
package deploytest
