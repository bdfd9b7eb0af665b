// Command embedded is a service of your own with Systole inside: its HTTP mux serves the heartbeat endpoint besides its own
// pages, and its process is a worker that runs its own Go functions. Copy the function systole: it is all that this takes.
//
//	NATS_URL=nats://… REDIS_URL=redis://… HEARTBEAT_TOKEN=… go run ./examples/embedded
//
// Without NATS_URL and REDIS_URL it starts both in its own process, and without HEARTBEAT_TOKEN it makes one and prints it,
// so that it can be tried with nothing installed. LISTEN is the address, by default 127.0.0.1:8080.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/internal/embedded"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
	"github.com/systole-run/systole/worker"
)

// greet is a flow of this service.
func greet(_ context.Context, run *function.Run) error {
	fmt.Fprintf(run.Log, "hello from %s, occurrence %s\n", run.Worker, run.OccurrenceID)
	return nil
}

// systole puts the heartbeat endpoint on a mux and makes a worker; the caller runs both.
func systole(mux *http.ServeMux, nc *nats.Conn, redisURL, token string) (*worker.Worker, *store.Store, error) {
	redis, err1 := store.Connect(store.ConnConfig{URLs: []string{redisURL}})
	flows, err2 := store.New(redis, store.Config{})
	functions, err3 := function.New(function.Config{Functions: map[string]function.Func{"greet": greet}})
	executors, err4 := executor.NewRegistry(map[string]executor.FlowExecutor{function.Kind: functions})
	beats, err5 := trigger.NewPublisher(nc, trigger.PublisherConfig{})
	events, err6 := trigger.NewEvents(nc, "")
	auth, err7 := trigger.NewAuthenticator([]trigger.Token{{Name: "scheduler", Value: token}})
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return nil, nil, err
	}
	gateway, err1 := trigger.NewGateway(trigger.GatewayConfig{Access: trigger.Access{Auth: auth}}, beats, events)
	w, err2 := worker.New(worker.Config{Logger: slog.Default()}, nc, flows, executors)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	mux.Handle("/heartbeat", gateway.Handler())
	mux.Handle("/heartbeat/", gateway.Handler()) // of one group
	return w, flows, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "embedded:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	nc, redisURL, closeServers, err := servers()
	if err != nil {
		return err
	}
	defer closeServers()
	token := cmp.Or(os.Getenv("HEARTBEAT_TOKEN"), rand.Text())

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "my own service") })
	w, flows, err := systole(mux, nc, redisURL, token)
	if err != nil {
		return err
	}
	greeting := store.DataFlow{Name: "greeting", Every: store.Duration(time.Minute), Function: &store.FunctionSpec{Name: "greet"}}
	if _, err := flows.PutFlow(ctx, greeting); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8080"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return w.Run(ctx) })
	all.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	all.Go(func() error {
		select {
		case <-w.Started():
			fmt.Fprintf(out, "send a heartbeat:\n  curl -X POST -H 'Authorization: Bearer %s' 'http://%s/heartbeat?wait=30s'\n", token, listener.Addr())
		case <-ctx.Done():
		}
		<-ctx.Done()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return server.Shutdown(ending)
	})
	return all.Wait()
}

// servers connects to the NATS and Redis of the environment, or starts both inside this process, which is for trying it only:
// package embedded is internal to Systole.
func servers() (nc *nats.Conn, redisURL string, closeAll func(), err error) {
	natsURL, redisURL := os.Getenv("NATS_URL"), os.Getenv("REDIS_URL")
	var closers []func()
	closeAll = func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}
	if natsURL == "" {
		server, err := embedded.NATS(embedded.NATSConfig{})
		if err != nil {
			return nil, "", closeAll, err
		}
		natsURL = server.URL()
		closers = append(closers, server.Close)
	}
	if redisURL == "" {
		server, err := embedded.Redis()
		if err != nil {
			closeAll()
			return nil, "", closeAll, err
		}
		redisURL = server.URL()
		closers = append(closers, server.Close)
	}
	nc, err = nats.Connect(natsURL, nats.MaxReconnects(-1))
	if err != nil {
		closeAll()
		return nil, "", closeAll, err
	}
	closers = append(closers, nc.Close)
	return nc, redisURL, closeAll, nil
}
