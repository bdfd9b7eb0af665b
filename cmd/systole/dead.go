package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

func (a *app) deadCommand() *cobra.Command {
	return group("dead", "List, retry and purge what failed for good", a.deadListCommand(), a.deadRetryCommand(), a.deadPurgeCommand())
}

func (a *app) deadListCommand() *cobra.Command {
	var flags apiFlags
	read := func(ctx context.Context, api *client.Client, page int) (iter.Seq2[store.Run, error], error) {
		return api.Dead(ctx, flags.group, page), nil
	}
	return listing(a, &cobra.Command{
		Use: "list", Short: "List occurrences that failed for good, newest first, by their last run", Example: "  systole dead list -o json",
	}, &flags, read, (*output.Printer).Runs)
}

func (a *app) deadRetryCommand() *cobra.Command {
	var flags apiFlags
	cmd := a.retryCommand(&flags, (*client.Client).RetryDead)
	cmd.Short = "Run again an occurrence that failed for good, take it off the list, and print the id of the new run"
	cmd.Example = "  systole dead retry broken~1795388654370168"
	cmd.ValidArgsFunction = a.completeDead(&flags)
	return cmd
}

func (a *app) deadPurgeCommand() *cobra.Command {
	var flags apiFlags
	var all bool
	cmd := &cobra.Command{
		Use: "purge RUN… | --all", Short: "Remove occurrences from the list of those that failed for good", Args: cobra.ArbitraryArgs,
		Example:           "  systole dead purge broken~1795388654370168\n  systole dead purge --all",
		ValidArgsFunction: a.completeDead(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError{errors.New("systole dead purge: found both or neither, allowed is either RUN… or --all")}
			}
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			var purged int
			if all {
				purged, err = api.PurgeAllDead(cmd.Context(), flags.group)
			} else {
				purged, err = api.PurgeDead(cmd.Context(), flags.group, args...)
			}
			if err != nil && purged == 0 {
				return err
			}
			_, printErr := fmt.Fprintf(a.out, "%d purged\n", purged)
			return errors.Join(printErr, err)
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every occurrence of the group")
	return cmd
}
