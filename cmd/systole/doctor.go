package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/cadence"
	"github.com/systole-run/systole/internal/config"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

func (a *app) doctorCommand() *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Connect to everything the settings name and report what is wrong", Args: cobra.NoArgs,
		Long: `doctor checks the settings, NATS with its streams, Redis, and the issuers of JWTs, and reports what is wrong and what to do
about it. It changes nothing. It warns about groups whose heartbeats never came, have stopped, come too rarely for a flow,
or come far more often than any flow is due.

With --url it only checks that the address answers 200, for health checks in containers without a shell.`,
		Example: "  systole doctor --config systole.yaml\n  systole doctor --url http://127.0.0.1:9090/readyz",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 20*time.Second)
			defer cancel()
			if url != "" {
				return probe(ctx, url)
			}
			return a.runDoctor(ctx, cmd)
		},
	}
	a.configFlag(cmd)
	cmd.Flags().StringVar(&url, "url", "", "only check that this address answers 200")
	return cmd
}

func probe(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil || request.URL.Host == "" || !strings.HasPrefix(request.URL.Scheme, "http") {
		return usageError{fmt.Errorf("--url: found %q, allowed is a URL such as http://127.0.0.1:9090/readyz", url)}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}

// finding is one thing that doctor looked at.
type finding struct {
	mark string // ok, warning or wrong
	text string
}

func (a *app) runDoctor(ctx context.Context, cmd *cobra.Command) error {
	cfg, err := config.Load(a.loadOptions(cmd))
	if err != nil {
		return err
	}
	findings := []finding{{"ok", "settings are valid"}}
	for _, warning := range cfg.Warnings() {
		findings = append(findings, finding{"warning", warning})
	}
	a.redisLog(slog.New(slog.DiscardHandler)) // the findings tell it better
	findings = append(findings, diagnoseNATS(ctx, cfg)...)
	findings = append(findings, diagnoseRedis(ctx, cfg)...)
	findings = append(findings, diagnoseIssuers(ctx, cfg)...)
	findings = append(findings, diagnoseHost(cfg)...)
	wrong := 0
	for _, f := range findings {
		if f.mark == "wrong" {
			wrong++
		}
		fmt.Fprintf(a.out, "%-8s %s\n", f.mark, f.text)
	}
	if wrong > 0 {
		return fmt.Errorf("problems found: %d", wrong)
	}
	_, err = fmt.Fprintln(a.out, "nothing is wrong")
	return err
}

func diagnoseNATS(ctx context.Context, cfg config.Config) []finding {
	options, err := natsOptions(cfg.NATS, "systole doctor")
	if err != nil {
		return []finding{{"wrong", err.Error()}}
	}
	nc, err := nats.Connect(strings.Join(cfg.NATS.URL.Reveal(), ","), options...)
	if err != nil {
		return []finding{{"wrong", fmt.Sprintf("NATS at %s: %v; is it running, and are nats.url and the credentials right?", cfg.NATS.URL, err)}}
	}
	defer nc.Close()
	findings := []finding{{"ok", fmt.Sprintf("NATS at %s is version %s", cfg.NATS.URL, nc.ConnectedServerVersion())}}
	if !cfg.NATS.MakeStreams {
		return append(findings, finding{"ok", "the streams are left to another role to make, and not looked at (nats.make_streams)"})
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return append(findings, finding{"wrong", err.Error()})
	}
	missing, differing, err := trigger.InspectStreams(ctx, js, streamConfig(cfg))
	if err != nil {
		return append(findings, finding{"wrong", fmt.Sprintf("JetStream: %v; is it enabled (nats-server -js), and may this user look at streams?", err)})
	}
	for _, stream := range differing {
		findings = append(findings, finding{"warning", fmt.Sprintf("a stream differs from these settings: %s; the next worker that starts with them changes it", stream)})
	}
	if len(missing) > 0 {
		return append(findings, finding{"ok", fmt.Sprintf("the streams %s are not there yet; the first gateway or worker makes them", strings.Join(missing, ", "))})
	}
	return append(findings, finding{"ok", "the streams of heartbeats and run-nows are there"})
}

func diagnoseRedis(ctx context.Context, cfg config.Config) []finding {
	st, closeClient, err := newStore(cfg, "systole-doctor", nil)
	if err != nil {
		return []finding{{"wrong", err.Error()}}
	}
	defer closeClient()
	warnings, err := st.Inspect(ctx)
	if err != nil {
		text := fmt.Sprintf("Redis at %s: %v", cfg.Redis.URL, err)
		if errors.Is(err, store.ErrUnavailable) {
			text += "; is it running, and are redis.url and the credentials right?"
		}
		return []finding{{"wrong", text}}
	}
	findings := []finding{{"ok", fmt.Sprintf("Redis at %s answers", cfg.Redis.URL)}}
	for _, warning := range warnings {
		findings = append(findings, finding{"warning", "Redis: " + warning})
	}
	groups, err := st.Status(ctx)
	if err != nil {
		return append(findings, finding{"wrong", err.Error()})
	}
	for _, status := range groups {
		findings = append(findings, diagnoseBeats(ctx, st, status)...)
	}
	return findings
}

// diagnoseBeats holds the heartbeats of a group against what its flows need.
func diagnoseBeats(ctx context.Context, st *store.Store, status store.GroupStatus) []finding {
	found, err := cadence.Look(ctx, st, status)
	if err != nil {
		return []finding{{"wrong", err.Error()}}
	}
	var findings []finding
	for _, warning := range found.Warnings() {
		findings = append(findings, finding{"warning", warning.Text})
	}
	if findings == nil {
		findings = []finding{{"ok", fmt.Sprintf("group %s: %d flows, %d due, %d running; %s", status.Group, status.Flows, status.Due, status.Running, found)}}
	}
	return findings
}

// diagnoseHost looks at what runs on this host would need.
func diagnoseHost(cfg config.Config) []finding {
	findings := diagnoseSupervisor(cfg.Executor.Exec)
	if _, err := exec.LookPath("sh"); errors.Is(err, exec.ErrNotFound) {
		findings = append(findings, finding{"warning", "there is no shell on this host: exec flows can only run programs directly"})
	}
	return findings
}
