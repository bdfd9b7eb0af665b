// Command nats-publish publishes one heartbeat to NATS and waits until JetStream has stored it. It needs nats.go and no package of Systole.
//
//	NATS_URL=nats://127.0.0.1:4222 go run ./examples/triggers/nats-publish [group]
//
// A user comes from NATS_USER and NATS_PASSWORD; if it may receive only on inboxes of its own, NATS_INBOX_PREFIX names them.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	group := "default"
	if len(os.Args) > 1 {
		group = os.Args[1]
	}
	if err := publish(os.Getenv("NATS_URL"), group); err != nil {
		fmt.Fprintln(os.Stderr, "heartbeat:", err)
		os.Exit(1)
	}
}

func publish(url, group string) error {
	if url == "" {
		url = nats.DefaultURL
	}
	nc, err := nats.Connect(url, options()...)
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// js.Publish waits for JetStream's word and tries again; nc.Publish would not know whether anyone has the beat.
	ack, err := js.Publish(ctx, "systole.beat."+group, []byte(`{"source":"my-program"}`))
	if err != nil {
		return fmt.Errorf("publish the heartbeat: %w", err)
	}
	fmt.Printf("stored in %s as %d\n", ack.Stream, ack.Sequence)
	return nil
}

func options() []nats.Option {
	var options []nats.Option
	if user := os.Getenv("NATS_USER"); user != "" {
		options = append(options, nats.UserInfo(user, os.Getenv("NATS_PASSWORD")))
	}
	if prefix := os.Getenv("NATS_INBOX_PREFIX"); prefix != "" {
		options = append(options, nats.CustomInboxPrefix(prefix))
	}
	return options
}
