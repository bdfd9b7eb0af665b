// Command systole is every role of Systole and its command line: see `systole --help`.
//
// It is the one place that reads configuration and knows all packages; each file holds one command, and turns settings
// into the Config of the packages that the command needs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // time zones for cron flows, on hosts and in images that have none

	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/supervisor"
)

// These are set by the build: -ldflags "-X main.version=v1.2.3 -X main.commit=… -X main.committed=…".
var (
	version   = "dev"
	commit    = "" // hash
	committed = "" // when, RFC 3339
)

func main() {
	supervisor.Main(function.Role(builtins()))
	ctx, abort := interrupts()
	os.Exit(execute(ctx, abort, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// interrupts gives a context that ends with the first SIGINT or SIGTERM, and a channel that is closed with the second.
func interrupts() (ctx context.Context, abort <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	second := make(chan struct{})
	go func() {
		<-signals
		cancel()
		<-signals
		close(second)
	}()
	return ctx, second
}
