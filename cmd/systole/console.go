package main

import (
	"net/http"
	"time"

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
	checked := make(chan struct{}) // closed when Redis is there, and one that may be written to
	server, err := p.callersServer("console", onceChecked(checked, handler))
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
		close(checked)
		return p.watchBeats(st).Run(ctx)
	})
	all.Go(func() error { return p.serve(ctx, server, metrics) })
	return all.Wait()
}

// callersPatience is how long a caller waits for a console that waits for Redis.
const callersPatience = 5 * time.Second

// onceChecked answers 503 to whoever would have to wait for longer until Redis was found to be there, so that nobody hangs
// without a word.
func onceChecked(checked <-chan struct{}, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		patience := time.NewTimer(callersPatience)
		defer patience.Stop()
		select {
		case <-checked:
			next.ServeHTTP(w, r)
			return
		case <-patience.C:
		case <-trigger.Closing(r.Context()):
		}
		trigger.NewProblem(http.StatusServiceUnavailable, "the console waits for Redis; its log says why").
			RetryAfter(2*time.Second).Write(w, r.ContentLength != 0)
	})
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
	key, listener := p.listener(p.cfg)
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
	handler := api.Handler()
	if listener.Auth.Open() && !p.cfg.Said(key+".auth.mode") { // open because it is on loopback, and not since somebody said so
		handler = trigger.LocalOnly(handler, refused)
	}
	return allow.Wrap(handler), nil
}
