package main

import (
	"net/http"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/systole-run/systole/internal/admin"
	"github.com/systole-run/systole/internal/cadence"
	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

func (a *app) consoleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "console", Short: "Serve the admin API: flows, runs, logs, heartbeats", Args: cobra.NoArgs,
		Example: consoleExamples,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runConsole(cmd) },
	}
	a.configFlag(cmd)
	cmd.Flags().String("console.listen", "", "host:port to serve the API on")
	return cmd
}

func (a *app) runConsole(cmd *cobra.Command) error {
	p, err := a.open(cmd, config.RoleConsole)
	if err != nil {
		return err
	}
	defer p.close()
	nc, err := p.connectNATS()
	if err != nil {
		return err
	}
	st, err := p.openStore()
	if err != nil {
		return err
	}
	handler, err := p.newConsole(nc, st)
	if err != nil {
		return err
	}
	server, err := p.callersServer("console", handler)
	if err != nil {
		return err
	}
	metrics, err := p.metricsServer(natsCheck(nc), redisCheck(st))
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(cmd.Context())
	all.Go(func() error {
		if err := p.awaitStore(ctx, st); err != nil {
			return unlessEnded(ctx, err)
		}
		all.Go(func() error { return p.watchBeats(st).Run(ctx) })
		return server.Run(ctx)
	})
	all.Go(func() error { return p.serve(ctx, metrics) })
	return all.Wait()
}

// watchBeats makes what warns of heartbeats that do not fit the flows.
func (p *process) watchBeats(st *store.Store) *cadence.Watcher {
	return cadence.NewWatcher(cadence.Config{Logger: p.logs.For("console"), Registerer: p.registry}, st)
}

// newConsole makes the admin API behind its allow list, both taking new settings over on reload.
func (p *process) newConsole(nc *nats.Conn, st *store.Store) (http.Handler, error) {
	events, err := trigger.NewEvents(nc, p.cfg.NATS.Prefix)
	if err != nil {
		return nil, err
	}
	_, listener := p.listener(p.cfg)
	auth, err := p.consoleAuthenticator(listener.Auth)
	if err != nil {
		return nil, err
	}
	check, err := p.flowCheck()
	if err != nil {
		return nil, err
	}
	refused := trigger.NewRefusals("console", p.logs.For("console"), p.registry)
	p.onClose(refused.Flush)
	cfg := admin.Config{AllowAnonymous: listener.Auth.Open(), Version: version, CheckFlow: check, Logger: p.logs.For("console"), Refusals: refused}
	if auth != nil {
		cfg.Auth = auth
	}
	api, err := admin.New(cfg, st, events)
	if err != nil {
		return nil, err
	}
	allow, err := trigger.NewAllowList(listener.Allow, listener.TrustedProxies, refused)
	if err != nil {
		return nil, err
	}
	p.reloads = append(p.reloads, func(next config.Config) error {
		_, listener := p.listener(next)
		auth, err := p.consoleAuthenticator(listener.Auth)
		if err != nil {
			return err
		}
		if auth != nil {
			if err := api.Reload(auth); err != nil {
				return err
			}
		}
		return allow.Reload(listener.Allow)
	})
	return allow.Wrap(api.Handler()), nil
}
