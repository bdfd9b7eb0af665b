package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/store"
)

func (a *app) runCancelCommand() *cobra.Command {
	var flags apiFlags
	var reason string
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "Cancel a run: at once if it is pending, otherwise through its worker", Args: exactly("RUN"),
		Example:           "  systole run cancel report~1795388654370168 --reason 'wrong day' --wait 30s",
		ValidArgsFunction: a.completeRuns(&flags, func(status store.Status) bool { return !status.Final() }),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			if err := checkReason(reason); err != nil {
				return err
			}
			if wait < 0 {
				return usageError{fmt.Errorf("--wait: found %s, allowed are 0, for not at all, and more", wait)}
			}
			cancelled, err := api.CancelRun(cmd.Context(), flags.group, args[0], reason)
			if err != nil {
				return err
			}
			status := cancelled.Status
			if !status.Final() && wait > 0 {
				if status, err = awaitEnd(cmd.Context(), api, flags.group, args[0], wait); err != nil {
					return err
				}
			}
			if !status.Final() {
				_, err = fmt.Fprintf(a.out, "%s %s, its worker was asked to end it\n", args[0], status)
				return err
			}
			_, err = fmt.Fprintln(a.out, args[0], status)
			return err
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	reasonFlag(cmd, &reason)
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait this long for the run to end, and fail if it has not")
	return cmd
}

// Pauses between two looks at a run that is to end: each is half as long again as the one before.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 3 * time.Second
)

// awaitEnd looks at a run until it is final, and fails if that is not so within the wait.
func awaitEnd(ctx context.Context, api *client.Client, group, id string, wait time.Duration) (store.Status, error) {
	late := fmt.Errorf("%s has not ended within %s; its worker was asked to end it", id, wait)
	ctx, cancel := context.WithTimeoutCause(ctx, wait, late)
	defer cancel()
	for pause := firstPause; ; pause = min(pause*3/2, longestPause) {
		run, err := api.Run(ctx, group, id)
		switch {
		case err == nil && run.Status.Final():
			return run.Status, nil
		case errors.Is(context.Cause(ctx), late):
			return "", late
		case err != nil:
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func (a *app) runRetryCommand() *cobra.Command {
	var flags apiFlags
	cmd := a.retryCommand(&flags, (*client.Client).RetryRun)
	cmd.Short = "Repeat a finished run with the same parameters, and print the id of the new run"
	cmd.Example = "  systole run retry orders-sync~1795388654370168"
	cmd.ValidArgsFunction = a.completeRuns(&flags, store.Status.Final)
	return cmd
}

// retryCommand is a command that starts a run anew by retry, and prints the id of the new one.
func (a *app) retryCommand(flags *apiFlags, retry func(*client.Client, context.Context, string, string) (string, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use: "retry RUN", Args: exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(*flags)
			if err != nil {
				return err
			}
			id, err := retry(api, cmd.Context(), flags.group, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, id)
			return err
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	return cmd
}
