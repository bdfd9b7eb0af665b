package main

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/internal/config"
)

// The guide for operators promises it: each ping that is not answered is one interval, and one more passes before the first.
func TestASilentCutFromNATSIsNoticedWithinAMinute(t *testing.T) {
	t.Parallel()
	options, err := natsOptions(config.Default().NATS, "test")
	if err != nil {
		t.Fatal(err)
	}
	chosen := nats.GetDefaultOptions()
	for _, option := range options {
		if err := option(&chosen); err != nil {
			t.Fatal(err)
		}
	}
	if noticed := time.Duration(chosen.MaxPingsOut+1) * chosen.PingInterval; noticed <= 0 || noticed > time.Minute {
		t.Errorf("it is noticed after %s", noticed)
	}
}
