package main

import "github.com/spf13/cobra"

func (a *app) statusCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "status", Short: "Show every group at a glance: its flows, what is due, waiting and running, and its last heartbeat", Args: cobra.NoArgs,
		Example: "  systole status -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			groups, err := api.Status(cmd.Context(), flags.group)
			if err != nil {
				return err
			}
			return a.printer(flags.format).Status(groups)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&flags.group, "group", "", "only this group (default all)")
	formatFlag(cmd, &flags.format)
	return cmd
}
