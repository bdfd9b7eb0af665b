package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
	"github.com/systole-run/systole/trigger"
)

// beatFlags are what a heartbeat from the command line can say.
type beatFlags struct {
	url, tokenFile, group, note, key string
	wait                             time.Duration
	tls                              tlsFlags
}

func (a *app) beatCommand() *cobra.Command {
	var flags beatFlags
	cmd := &cobra.Command{
		Use: "beat", Short: "Send one heartbeat to a gateway, as a scheduler would", Args: cobra.NoArgs,
		Long: `beat sends one heartbeat over HTTP and prints the gateway's answer. The token comes from --token-file or the environment
variable SYSTOLE_TOKEN. With --wait it fails if a run that it started failed, or if not all of them have ended by then.

In a command that a flow runs, use --token-file: there SYSTOLE_TOKEN is the token of the run.`,
		Example: "  systole beat --wait 30s\n  SYSTOLE_TOKEN=… systole beat --gateway https://systole.example/heartbeat --group reports",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runBeat(cmd.Context(), flags) },
	}
	cmd.Flags().StringVar(&flags.url, "gateway", "", "address of the gateway's heartbeat endpoint (SYSTOLE_GATEWAY, default http://127.0.0.1:8080/heartbeat)")
	cmd.Flags().StringVar(&flags.tokenFile, "token-file", "", "file that holds the token (or set SYSTOLE_TOKEN)")
	cmd.Flags().StringVar(&flags.group, "group", store.DefaultGroup, "group of flows")
	cmd.Flags().StringVar(&flags.note, "note", "", "text to keep with the heartbeat")
	cmd.Flags().StringVar(&flags.key, "idempotency-key", "", "a repeat with the same key within two minutes counts as the same heartbeat")
	cmd.Flags().DurationVar(&flags.wait, "wait", 0, "wait up to this long for the runs that it starts")
	flags.tls.add(cmd)
	cmd.AddCommand(a.beatListCommand())
	return cmd
}

func (a *app) beatListCommand() *cobra.Command {
	var flags apiFlags
	read := func(ctx context.Context, api *client.Client, page int) (iter.Seq2[store.BeatView, error], error) {
		return api.Beats(ctx, flags.group, page), nil
	}
	return listing(a, &cobra.Command{
		Use: "list", Short: "List the heartbeats of a group, newest first: how late each came, how long after the one before, and what it ran",
		Example: "  systole beat list --limit 10",
	}, &flags, read, (*output.Printer).Beats)
}

func (a *app) runBeat(ctx context.Context, flags beatFlags) error {
	request, err := a.beatRequest(ctx, flags)
	if err != nil {
		return err
	}
	via, err := flags.tls.transport()
	if err != nil {
		return err
	}
	client := &http.Client{Transport: via, Timeout: flags.wait + 15*time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a redirect would take the token elsewhere
	}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("send heartbeat: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the gateway answered %s: %s", response.Status, detail(body))
	}
	if _, err := fmt.Fprintf(a.out, "%s\n", bytes.TrimSpace(body)); err != nil {
		return err
	}
	return flags.judge(body)
}

func (a *app) beatRequest(ctx context.Context, f beatFlags) (*http.Request, error) {
	target, err := url.Parse(cmp.Or(f.url, a.getenv(gatewayVariable), "http://127.0.0.1:8080"+trigger.DefaultPath))
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, usageError{errors.New("--gateway: found no such address, allowed is a URL such as http://127.0.0.1:8080/heartbeat")}
	}
	token, err := a.secretFrom(f.tokenFile, "SYSTOLE_TOKEN")
	if err != nil {
		return nil, err
	}
	if err := checkGroup(f.group); err != nil {
		return nil, err
	}
	if f.key != "" && !trigger.ValidID(f.key) {
		return nil, usageError{fmt.Errorf("--idempotency-key: found %q, allowed are visible ASCII characters", f.key)}
	}
	if f.wait < 0 {
		return nil, usageError{fmt.Errorf("--wait: found %s, allowed is a duration such as 30s, or 0 to wait for nothing", f.wait)}
	}
	target = target.JoinPath(f.group)
	if f.wait > 0 {
		target.RawQuery = url.Values{"wait": {f.wait.String()}}.Encode()
	}
	body, err := json.Marshal(trigger.BeatBody{Source: "systole beat", Note: f.note})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, usageError{err}
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if f.key != "" {
		request.Header.Set("Idempotency-Key", f.key)
	}
	return request, nil
}

// detail is what a person reads of a problem, or the answer itself where something else has sent it.
func detail(body []byte) string {
	var problem trigger.Problem
	if json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
		text := problem.Detail
		for _, field := range problem.Errors {
			text += "\n  " + field.Error()
		}
		return text
	}
	const longest = 200
	return fmt.Sprintf("%.*q", longest, bytes.TrimSpace(body))
}

// judge turns what became of a heartbeat that was waited for into an exit status.
func (f beatFlags) judge(body []byte) error {
	if f.wait == 0 {
		return nil
	}
	var answer struct {
		Status string `json:"status"`
		Failed int    `json:"failed"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	switch {
	case answer.Failed > 0:
		return fmt.Errorf("failed runs: %d", answer.Failed)
	case answer.Status != "settled":
		return fmt.Errorf("the heartbeat has not settled within %s", f.wait)
	}
	return nil
}
