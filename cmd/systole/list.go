package main

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/admin/client"
	"github.com/systole-run/systole/internal/admin/wire"
	"github.com/systole-run/systole/internal/output"
)

// lister reads the entries of a group that a listing shows, a page of this size at a time.
type lister[T any] func(ctx context.Context, api *client.Client, page int) (iter.Seq2[T, error], error)

// listing makes cmd show as many entries as --limit says, in the format that --output says, and reads no more than that.
func listing[T any](a *app, cmd *cobra.Command, flags *apiFlags, read lister[T], show func(*output.Printer, []T) error) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := a.client(*flags)
		if err != nil {
			return err
		}
		page := flags.limit
		if page == 0 || page > wire.MaxPage {
			page = wire.MaxPage
		}
		all, err := read(cmd.Context(), api, page)
		if err != nil {
			return err
		}
		entries, err := take(all, flags.limit)
		if err != nil {
			return err
		}
		return show(a.printer(flags.format), entries)
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	formatFlag(cmd, &flags.format)
	cmd.Flags().IntVar(&flags.limit, "limit", 100, "how many to show at most; 0 for all")
	return cmd
}

// take collects up to limit elements, or all if limit is 0.
func take[T any](all iter.Seq2[T, error], limit int) ([]T, error) {
	var taken []T
	for element, err := range all {
		if err != nil {
			return nil, err
		}
		taken = append(taken, element)
		if limit > 0 && len(taken) >= limit {
			break
		}
	}
	return taken, nil
}
