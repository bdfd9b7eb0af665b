// Command nats-schedule makes NATS itself the scheduler: a message schedule in the stream of the heartbeats.
//
//	NATS_URL=nats://127.0.0.1:4222 go run ./examples/triggers/nats-schedule '@every 1m' [group]
//	NATS_URL=nats://127.0.0.1:4222 go run ./examples/triggers/nats-schedule off [group]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const streamName = "SYSTOLE_BEATS"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: nats-schedule SCHEDULE|off [GROUP]")
		os.Exit(2)
	}
	group := "default"
	if len(os.Args) > 2 {
		group = os.Args[2]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	if err := schedule(ctx, os.Getenv("NATS_URL"), os.Args[1], group); err != nil {
		fmt.Fprintln(os.Stderr, "nats-schedule:", err)
		os.Exit(1)
	}
}

func schedule(ctx context.Context, url, when, group string) error {
	if url == "" {
		url = nats.DefaultURL
	}
	var options []nats.Option
	if user := os.Getenv("NATS_USER"); user != "" {
		options = append(options, nats.UserInfo(user, os.Getenv("NATS_PASSWORD")))
	}
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, streamName)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("no stream %s yet: start a worker or the gateway first", streamName)
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", streamName, err)
	}
	// The schedule is a message under a subject of its own in the same stream. To workers it is one heartbeat of a group
	// without flows, which leads to nothing.
	subject := "systole.beat.clock-" + group
	if when == "off" {
		return stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
	}
	if err := allow(ctx, js, stream.CachedInfo().Config); err != nil {
		return err
	}
	msg := nats.NewMsg(subject)
	msg.Data = []byte(`{"source":"nats-schedule"}`)
	msg.Header.Set("Nats-Schedule", when)
	msg.Header.Set("Nats-Schedule-Target", "systole.beat."+group)
	msg.Header.Set("Nats-TTL", "never") // or it would go with the beats, after nats.beat_ttl
	if _, err := js.PublishMsg(ctx, msg); err != nil {
		return fmt.Errorf("store the schedule %q: %w", when, err)
	}
	return nil
}

// allow lets the stream hold schedules, and messages with a lifetime of their own. No server takes either back.
func allow(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	if cfg.AllowMsgSchedules && cfg.AllowMsgTTL {
		return nil
	}
	cfg.AllowMsgSchedules, cfg.AllowMsgTTL, cfg.AllowRollup = true, true, true
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		return fmt.Errorf("let stream %s hold schedules (NATS 2.14 or newer): %w", streamName, err)
	}
	return nil
}
