package main

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

func (a *app) runCommand() *cobra.Command {
	return group("run", "List, show, cancel and retry runs",
		a.runListCommand(), a.runShowCommand(), a.runLogsCommand(), a.runCancelCommand(), a.runRetryCommand())
}

func (a *app) runListCommand() *cobra.Command {
	var flags apiFlags
	var flow, status string
	read := func(ctx context.Context, api *client.Client, page int) (iter.Seq2[store.Run, error], error) {
		if status != "" && !slices.Contains(store.Statuses, store.Status(status)) {
			return nil, usageError{fmt.Errorf("--status: found %q, allowed are %s", status, strings.Join(statuses(), ", "))}
		}
		if flow != "" {
			if err := checkName("--flow", flow); err != nil {
				return nil, err
			}
		}
		return api.Runs(ctx, flags.group, store.RunFilter{Flow: flow, Status: store.Status(status), Limit: page}), nil
	}
	cmd := listing(a, &cobra.Command{
		Use: "list", Short: "List runs: those in progress first, then the newest",
		Example: "  systole run list --status failed\n  systole run list --flow orders-sync -o json",
	}, &flags, read, (*output.Printer).Runs)
	cmd.Flags().StringVar(&flow, "flow", "", "only runs of this flow")
	cmd.Flags().StringVar(&status, "status", "", "only runs with this status: pending, in_progress, success, failed or cancelled")
	_ = cmd.RegisterFlagCompletionFunc("flow", a.completeFlows(&flags)) // fails only for a flag that is not there
	completeWords(cmd, "status", statuses()...)
	return cmd
}

func statuses() []string {
	words := make([]string, len(store.Statuses))
	for i, status := range store.Statuses {
		words[i] = string(status)
	}
	return words
}

func (a *app) runShowCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "show RUN", Short: "Show one run with its whole message", Args: exactly("RUN"),
		Example:           "  systole run show orders-sync~1795388654370168\n  systole run show orders-sync~1795388654370168 -o json",
		ValidArgsFunction: a.completeRuns(&flags, anyStatus),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			run, err := api.Run(cmd.Context(), flags.group, args[0])
			if err != nil {
				return err
			}
			return a.printer(flags.format).Run(run)
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	formatFlag(cmd, &flags.format)
	return cmd
}

func (a *app) runLogsCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "logs RUN", Short: "Print a run's output; of a long one, the end that was kept", Args: exactly("RUN"),
		Example:           "  systole run logs orders-sync~1795388654370168",
		ValidArgsFunction: a.completeRuns(&flags, anyStatus),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			log, err := api.RunLog(cmd.Context(), flags.group, args[0])
			if err != nil {
				return err
			}
			_, err = a.out.Write(log)
			return err
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	return cmd
}
