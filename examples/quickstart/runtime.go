package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/internal/embedded"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
	"github.com/systole-run/systole/worker"
)

// flows are two that work, one that fails, one that crashes, and one that is not due today.
func flows() []store.DataFlow {
	every := store.Duration(time.Second)
	return []store.DataFlow{
		{Name: "orders-sync", Every: every, Function: &store.FunctionSpec{Name: "sync"}},
		{Name: "stock-report", Every: store.Duration(2 * time.Second), Exec: &store.ExecSpec{Command: []string{"echo", "12 items are low"}}},
		{Name: "broken-import", Every: every, Exec: &store.ExecSpec{Command: []string{"sh", "-c", "echo 'no such table: users' >&2; exit 3"}}},
		{Name: "crashing-export", Every: store.Duration(time.Hour), Function: &store.FunctionSpec{Name: "crash"}},
		{Name: "yearly-close", Cron: "0 3 1 1 *", Timezone: "Europe/Berlin", Function: &store.FunctionSpec{Name: "sync"}},
	}
}

func functions() map[string]function.Func {
	return map[string]function.Func{
		"sync": func(_ context.Context, run *function.Run) error {
			fmt.Fprintln(run.Log, "synchronised 40 orders")
			return nil
		},
		"crash": func(context.Context, *function.Run) error {
			rows := []string{"the only row"}
			return errors.New(rows[len(rows)])
		},
	}
}

// running is everything that runs in this process, which in production are a NATS server, a Redis, gateways and
// workers of their own.
type running struct {
	store   *store.Store
	closers []func()
}

func (r *running) stop() {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i]()
	}
}

func (r *running) deferred(f func()) { r.closers = append(r.closers, f) }

func startRuntime(ctx context.Context, listener net.Listener, token string) (r *running, err error) {
	r = &running{}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	natsServer, err := embedded.NATS(embedded.NATSConfig{})
	if err != nil {
		return nil, err
	}
	r.deferred(natsServer.Close)
	redisServer, err := embedded.Redis()
	if err != nil {
		return nil, err
	}
	r.deferred(redisServer.Close)
	nc, err := nats.Connect(natsServer.URL(), nats.Timeout(time.Minute))
	if err != nil {
		return nil, err
	}
	r.deferred(nc.Close)
	client, err := store.Connect(store.ConnConfig{URLs: []string{redisServer.URL()}})
	if err != nil {
		return nil, err
	}
	r.deferred(func() { _ = client.Close() })
	if r.store, err = store.New(client, store.Config{}); err != nil {
		return nil, err
	}
	if err := r.startWorker(ctx, nc); err != nil {
		return nil, err
	}
	return r, r.startGateway(nc, listener, token)
}

func (r *running) startWorker(ctx context.Context, nc *nats.Conn) error {
	byName, err1 := function.New(function.Config{Functions: functions()})
	commands, err2 := subprocess.New(subprocess.Config{})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	executors, err := executor.NewRegistry(map[string]executor.FlowExecutor{function.Kind: byName, subprocess.Kind: commands})
	if err != nil {
		return err
	}
	w, err := worker.New(worker.Config{}, nc, r.store, executors)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.Run(ctx) }()
	r.deferred(func() { cancel(); <-ended })
	select {
	case <-w.Started():
		return nil
	case <-time.After(time.Minute):
		return errors.New("worker did not come up")
	}
}

func (r *running) startGateway(nc *nats.Conn, listener net.Listener, token string) error {
	beats, err1 := trigger.NewPublisher(nc, trigger.PublisherConfig{})
	events, err2 := trigger.NewEvents(nc, "")
	auth, err3 := trigger.NewAuthenticator([]trigger.Token{{Name: "scheduler", Value: token}})
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	gateway, err := trigger.NewGateway(trigger.GatewayConfig{Access: trigger.Access{Auth: auth}}, beats, events)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: gateway.Handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	r.deferred(func() { _ = server.Close() })
	return nil
}
