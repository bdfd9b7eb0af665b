package main

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/trigger"
)

func (a *app) gatewayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "gateway", Short: "Take heartbeats over HTTP and publish them to NATS", Args: cobra.NoArgs,
		Example: gatewayExamples,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runGateway(cmd) },
	}
	a.configFlag(cmd)
	cmd.Flags().String("gateway.listen", "", "host:port to take heartbeats on")
	return cmd
}

func (a *app) runGateway(cmd *cobra.Command) error {
	p, err := a.open(cmd, config.RoleGateway)
	if err != nil {
		return err
	}
	defer p.close()
	nc, err := p.connectNATS()
	if err != nil {
		return err
	}
	callbacks, err := p.newCallbacks(nc)
	if err != nil {
		return err
	}
	beats, err := p.newPublisher(nc)
	if err != nil {
		return err
	}
	gateway, err := p.newGateway(nc, beats, callbacks)
	if err != nil {
		return err
	}
	server, err := p.callersServer("gateway", gateway.Handler())
	if err != nil {
		return err
	}
	metrics, err := p.metricsServer(publisherCheck(beats))
	if err != nil {
		return err
	}
	return p.serve(cmd.Context(), server, metrics)
}

func (p *process) newPublisher(nc *nats.Conn) (*trigger.Publisher, error) {
	return trigger.NewPublisher(nc, trigger.PublisherConfig{
		Streams: streamConfig(p.cfg), AckTimeout: p.cfg.NATS.AckTimeout, Registerer: p.registry,
	})
}

// newGateway makes the gateway as the settings say, without callbacks if that is nil, and has it take new tokens and networks over on reload.
func (p *process) newGateway(nc *nats.Conn, beats *trigger.Publisher, callbacks *trigger.Callbacks) (*trigger.Gateway, error) {
	events, err := trigger.NewEvents(nc, p.cfg.NATS.Prefix)
	if err != nil {
		return nil, err
	}
	cfg := p.cfg.Gateway
	access, err := p.accessOf(cfg.Listener)
	if err != nil {
		return nil, err
	}
	limit := rate.Limit(cfg.Rate)
	if limit == 0 {
		limit = -1 // the setting's 0 is no limit; the gateway's is its default
	}
	gateway, err := trigger.NewGateway(trigger.GatewayConfig{
		Access: access, Path: cfg.Path, RunPath: cfg.RunPath, CallbackPath: cfg.CallbackPath, Callbacks: callbacks, TrustedProxies: cfg.TrustedProxies, Rate: limit,
		Burst: cfg.Burst, MaxBody: int64(cfg.MaxBody), MaxWait: cfg.MaxWait,
		Logger: p.logs.For("gateway"), Registerer: p.registry, TracerProvider: p.tracer,
	}, beats, events)
	if err != nil {
		return nil, err
	}
	p.onClose(gateway.Close)
	p.reloads = append(p.reloads, func(next config.Config) error {
		access, err := p.accessOf(next.Gateway.Listener)
		if err != nil {
			return err
		}
		return gateway.Reload(access)
	})
	return gateway, nil
}

// serve runs servers (nil ones are passed over) until ctx ends or one of them fails.
func (p *process) serve(ctx context.Context, servers ...*trigger.Server) error {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { p.reloadOnHangup(ctx); return nil })
	for _, server := range servers {
		if server != nil {
			all.Go(func() error { return server.Run(ctx) })
		}
	}
	return all.Wait()
}
