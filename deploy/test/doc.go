// Package deploytest proves docker-compose.yml on a real engine: it builds the stack, has cron's container send the
// heartbeats, scales the workers up and down, kills and cuts off containers while flows run, and then accounts for every slot.
//
// It owns no product code. It needs Docker with Compose, so its test is behind the build tag compose and `make e2e` runs
// it. It needs no image registry: images_test.go makes the base images out of this machine's own Go and Debian programs.
//
// What ran is told by the runs themselves: each leaves a line in a folder outside (effects_test.go), which is held against
// what Systole says of its slots.
package deploytest
