package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/systole-run/systole/executor"
	"github.com/systole-run/systole/executor/function"
	"github.com/systole-run/systole/executor/subprocess"
	"github.com/systole-run/systole/executor/wasm"
	"github.com/systole-run/systole/executor/webhook"
	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/internal/telemetry"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
	"github.com/systole-run/systole/worker"
)

func (a *app) workerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "worker", Short: "Run what heartbeats make due; start as many as you need", Args: cobra.NoArgs,
		Long: `worker follows heartbeats, claims what is due, and runs it.

The first SIGTERM lets runs finish for worker.drain_timeout and hands the rest back to other workers;
a second one hands everything back and ends at once. SIGHUP reloads the log levels.`,
		Example: "  SYSTOLE_WORKER__CONCURRENCY=32 systole worker --config systole.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runWorker(cmd) },
	}
	a.configFlag(cmd)
	cmd.Flags().Int("worker.concurrency", 0, "runs at a time")
	cmd.Flags().StringSlice("worker.groups", nil, "groups to serve; none for all")
	return cmd
}

func (a *app) runWorker(cmd *cobra.Command) error {
	p, err := a.open(cmd, config.RoleWorker)
	if err != nil {
		return err
	}
	defer p.close()
	p.hideSecrets()
	nc, err := p.connectNATS()
	if err != nil {
		return err
	}
	st, err := p.openStore()
	if err != nil {
		return err
	}
	callbacks, err := p.newCallbacks(nc)
	if err != nil {
		return err
	}
	w, err := p.newWorker(nc, st, callbacks)
	if err != nil {
		return err
	}
	metrics, err := p.metricsServer(natsCheck(nc), redisCheck(st), workerCheck(w))
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(cmd.Context())
	serving, drained := context.WithCancel(context.WithoutCancel(ctx)) // health and metrics tell of the draining, too
	all.Go(func() error {
		defer drained()
		if err := p.awaitStore(ctx, st); err != nil {
			return unlessEnded(ctx, err)
		}
		return p.work(ctx, w)
	})
	all.Go(func() error { return p.serve(serving, metrics) })
	return all.Wait()
}

// newWorker makes the worker with all executors, as the settings say.
func (p *process) newWorker(nc *nats.Conn, st *store.Store, callbacks *trigger.Callbacks) (*worker.Worker, error) {
	executors, err := p.newExecutor(callbacks)
	if err != nil {
		return nil, err
	}
	cfg := p.cfg.Worker
	return worker.New(worker.Config{
		ID: cfg.ID, Groups: cfg.Groups, Streams: streamConfig(p.cfg), Concurrency: cfg.Concurrency, Batch: cfg.Batch, Lease: cfg.Lease,
		DrainTimeout: drainTimeout(cfg), LogBytes: int(p.cfg.History.LogBytes),
		Logger: p.logs.For("worker"), Registerer: p.registry, TracerProvider: p.tracer,
	}, nc, st, executors)
}

func (p *process) newExecutor(callbacks *trigger.Callbacks) (executor.FlowExecutor, error) {
	log := p.logs.For("executor")
	supervised, err := p.newSupervisor(log)
	if err != nil {
		return nil, err
	}
	functions, err1 := p.newFunctions(supervised, log)
	commands, err2 := p.newCommands(supervised, log)
	requests, err3 := webhook.New(p.webhookConfig(callbacks))
	modules, err4 := p.openModules()
	opened, err5 := p.newSecrets()
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	p.onClose(func() { _ = requests.Close() })
	registry, err := executor.NewRegistry(map[string]executor.FlowExecutor{
		function.Kind: functions, subprocess.Kind: opened.Guard(commands), webhook.Kind: opened.Guard(requests),
		wasm.Kind: opened.Guard(modules),
	})
	if err != nil {
		return nil, err
	}
	return executor.Measure(registry, p.registry)
}

// builtins are the functions of this binary. They do little: whoever writes flows in Go builds a worker of their own
// (examples/embedded). They let a deployment be tried, and loaded, without a command or a server.
func builtins() map[string]function.Func {
	return map[string]function.Func{
		"echo": func(_ context.Context, run *function.Run) error {
			_, err := fmt.Fprintf(run.Log, "%s attempt %d %s\n", run.OccurrenceID, run.Attempt, run.Params)
			return err
		},
		"noop": func(context.Context, *function.Run) error { return nil },
	}
}

// work runs the worker until ctx ends and it has drained; a second signal cuts the drain short.
func (p *process) work(ctx context.Context, w *worker.Worker) error {
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-p.app.abort:
			w.Abort()
		case <-ended:
		}
	}()
	return w.Run(ctx)
}

func workerCheck(w *worker.Worker) telemetry.Check {
	return telemetry.Check{Name: "heartbeats", Do: func(context.Context) error {
		if !w.Ready() {
			return errors.New("the worker does not hear heartbeats")
		}
		return nil
	}}
}

// drainTimeout is the worker's: its 0 means the default, the setting's means none.
func drainTimeout(cfg config.Worker) time.Duration {
	if cfg.DrainTimeout == 0 {
		return -1
	}
	return cfg.DrainTimeout
}
