package main

import (
	"github.com/spf13/cobra"

	"github.com/systole-run/systole/internal/output"
	"github.com/systole-run/systole/store"
)

// shownSlots is how many entries of a flow's slots are shown with it.
const shownSlots = 10

func (a *app) flowShowCommand() *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use: "show FLOW", Short: "Show one flow: its definition, state, last run and last slots", Args: exactly("FLOW"),
		Example:           "  systole flow show orders-sync\n  systole flow show orders-sync -o yaml",
		ValidArgsFunction: a.completeFlows(&flags),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client(flags)
			if err != nil {
				return err
			}
			flow, err := api.Flow(cmd.Context(), flags.group, args[0])
			if err != nil {
				return err
			}
			var slots []store.SlotRange
			var unread error
			if flags.format == output.Table {
				slots, unread = api.Slots(cmd.Context(), flags.group, args[0], shownSlots)
			}
			return a.printer(flags.format).Flow(flow, slots, unread)
		},
	}
	flags.add(cmd)
	flags.addGroup(cmd)
	formatFlag(cmd, &flags.format)
	return cmd
}
