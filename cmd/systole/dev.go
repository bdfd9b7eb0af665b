package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/embedded"
	"github.com/systole-run/systole/internal/logkey"
	"github.com/systole-run/systole/internal/telemetry"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
	"github.com/systole-run/systole/worker"
)

func (a *app) devCommand() *cobra.Command {
	var flows string
	cmd := &cobra.Command{
		Use: "dev", Short: "Run every role in one process, with embedded NATS and Redis", Args: cobra.NoArgs,
		Long: `dev runs the gateway, a worker and the console in one process on one listener, with an embedded NATS server and an
embedded Redis. It needs nothing installed and keeps nothing when it ends: it is for trying things out. It triggers nothing by
itself; it prints a command that sends a heartbeat. It does not use the settings of nats, redis, console and metrics; gateway.auth and
gateway.allow also say who may call the API.`,
		Example: "  systole dev --flows examples/flows",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runDev(cmd, flows) },
	}
	a.configFlag(cmd)
	cmd.Flags().StringVar(&flows, "flows", "", "folder of flow files to apply, now and whenever they change")
	cmd.Flags().String("gateway.listen", "", "host:port to listen on (default 127.0.0.1:8080)")
	return cmd
}

func (a *app) runDev(cmd *cobra.Command, flows string) error {
	began := time.Now()
	p, err := a.open(cmd, config.RoleDev)
	if err != nil {
		return err
	}
	defer p.close()
	p.hideSecrets()
	nc, st, err := p.embed()
	if err != nil {
		return err
	}
	var handler http.Handler // made below: it needs the worker, which tells receivers where this server listens
	server, err := p.callersServer("dev", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	if err != nil {
		return err
	}
	p.onClose(func() { _ = server.Close() })
	callbacks, err := p.newDevCallbacks(nc, server.URL())
	if err != nil {
		return err
	}
	w, err := p.newWorker(nc, st, callbacks)
	if err != nil {
		return err
	}
	if handler, err = p.devHandler(nc, st, w, callbacks); err != nil {
		return err
	}
	check, err := p.flowCheck()
	if err != nil {
		return err
	}
	watch, err := newFlowWatch(cmd.Context(), flows, st, check, p.logs.For("flows"))
	if err != nil {
		return err
	}
	welcome := p.welcome(server.URL())
	all, ctx := errgroup.WithContext(cmd.Context())
	all.Go(func() error { return p.work(ctx, w) })
	all.Go(func() error { return p.serve(ctx, server) })
	all.Go(func() error { return watch.run(ctx) })
	all.Go(func() error {
		select {
		case <-w.Started():
		case <-ctx.Done():
			return nil
		}
		p.log.Info("ready", logkey.DurationMS, time.Since(began).Milliseconds())
		_, err := fmt.Fprint(a.out, welcome)
		return err
	})
	return all.Wait()
}

// embed starts NATS and Redis inside this process. What the settings say of NATS is meant for another one.
func (p *process) embed() (*nats.Conn, *store.Store, error) {
	p.cfg.NATS = config.Default().NATS
	natsServer, err := embedded.NATS(embedded.NATSConfig{})
	if err != nil {
		return nil, nil, err
	}
	p.onClose(natsServer.Close)
	redis, err := embedded.Redis()
	if err != nil {
		return nil, nil, err
	}
	p.onClose(redis.Close)
	nc, err := nats.Connect(natsServer.URL(), nats.Name("systole dev"), nats.Timeout(time.Minute)) // it is there, however busy the machine is
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the embedded NATS: %w", err)
	}
	p.onClose(nc.Close)
	client, err := store.Connect(store.ConnConfig{URLs: []string{redis.URL()}, Name: "systole-dev", Timeout: time.Minute})
	if err != nil {
		return nil, nil, err
	}
	p.onClose(func() { _ = client.Close() })
	st, err := store.New(client, storeConfig(p.cfg.History, telemetry.ScriptTimes(p.registry)))
	return nc, st, err
}

// devHandler puts the roles on one listener: each has paths of its own.
func (p *process) devHandler(nc *nats.Conn, st *store.Store, w *worker.Worker, callbacks *trigger.Callbacks) (http.Handler, error) {
	beats, err := p.newPublisher(nc)
	if err != nil {
		return nil, err
	}
	gateway, err := p.newGateway(nc, beats, callbacks)
	if err != nil {
		return nil, err
	}
	console, err := p.newConsole(nc, st)
	if err != nil {
		return nil, err
	}
	health := telemetry.Handler(p.registry, publisherCheck(beats), redisCheck(st), workerCheck(w))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case gateway.Owns(r):
			gateway.ServeHTTP(w, r)
		case path == "/healthz", path == "/readyz", path == "/metrics":
			health.ServeHTTP(w, r)
		default:
			console.ServeHTTP(w, r)
		}
	}), nil
}

// welcome says how to send a heartbeat.
func (p *process) welcome(url string) string {
	credential := ""
	if !p.cfg.Gateway.Auth.Open() {
		credential = `-H "Authorization: Bearer $TOKEN" `
	}
	return fmt.Sprintf("Send a heartbeat:\n  curl -X POST %s'%s%s?wait=30s'\nSee what ran:\n  systole run list --server %s\n",
		credential, url, p.cfg.Gateway.Path, url)
}
